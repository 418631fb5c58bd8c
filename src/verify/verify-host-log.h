/*
 * The log of a host's own software (evlog/hostlog.h), read and replayed.
 */
#ifndef VERIFY_VERIFY_HOST_LOG_H
#define VERIFY_VERIFY_HOST_LOG_H

#include "evlog/hostlog.h"

#define HOST_COMPONENTS_MAX 64

struct host_log {
        struct hostlog_component components[HOST_COMPONENTS_MAX];
        size_t n;
        uint8_t pcr[32]; /* PCR 13 of the SHA-256 bank when exactly these were measured */
};

/*
 * Reads a log in which every event is a component in PCR 13 whose digest is that of its data.
 * Anything else, also a component that is there twice, is ERR_MALFORMED.
 */
int host_log_read(struct bytes log, struct host_log *ret_log, struct err *err) MUST_CHECK;

/* The component of this name, or NULL. */
const struct hostlog_component *host_log_find(const struct host_log *log, const char *name);

#endif
