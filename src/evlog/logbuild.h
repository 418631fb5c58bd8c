/*
 * Writes TCG event logs: for benchmarks and for the tests, which bend them.
 */
#ifndef EVLOG_LOGBUILD_H
#define EVLOG_LOGBUILD_H

#include "base/writer.h"
#include "evlog/tcglog.h"

struct logbuild {
        struct writer *w; /* the log grows here */
        enum tcglog_format format;
        const struct hash_alg *algs[TCGLOG_BANKS_MAX];
        size_t count;
};

/*
 * Starts a log with banks by name, ended by NULL; the Spec ID event comes first unless the format
 * is TCGLOG_LEGACY, whose only bank is sha1. Errors: ERR_UNSUPPORTED (a hash that is not there).
 */
int logbuild_begin(struct logbuild *build, struct writer *w, enum tcglog_format format,
                   const char *const *banks, struct err *err) MUST_CHECK;

/* Appends an event whose digests are the hashes of measured. Errors: ERR_FAILED. */
int logbuild_add(struct logbuild *build, uint32_t pcr, uint32_t type, struct bytes data,
                 struct bytes measured, struct err *err) MUST_CHECK;

/* Appends an event with given digests, one after the other in the order of the banks. */
void logbuild_add_digests(struct logbuild *build, uint32_t pcr, uint32_t type, struct bytes data,
                          const uint8_t *digests);

/* UEFI_VARIABLE_DATA of a variable in the global namespace, into w. */
void logbuild_put_variable(struct writer *w, const char *name, struct bytes value);

#endif
