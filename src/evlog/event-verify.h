/*
 * Whether an event's digests are the hashes of its data. Where they are not, whatever the data
 * says is only a hint: paths of images, names of files, addresses.
 */
#ifndef EVLOG_EVENT_VERIFY_H
#define EVLOG_EVENT_VERIFY_H

#include "evlog/tcglog.h"

enum event_verdict {
        EVENT_MISMATCH,     /* the digest must be the hash of the data and is not */
        EVENT_VERIFIED,     /* all of the data that counts was measured */
        EVENT_VALUE,        /* a variable's value was measured, its name was not */
        EVENT_UNVERIFIABLE, /* something that the log does not hold was measured */
};

/*
 * Judges one event in all banks whose hash we know (PFP 1.06, 10.4.1 per type). They must agree:
 * one bank that does not match spoils the verdict. Errors: ERR_FAILED.
 */
int event_verify(const struct tcglog *log, const struct tcglog_event *event,
                 enum event_verdict *ret_verdict, struct err *err) MUST_CHECK;

/* The string after GRUB's "grub_cmd: " and the like, without its NUL; len 0 if it is no such. */
struct bytes event_grub_string(struct bytes data, bool *ret_is_cmdline);

#endif
