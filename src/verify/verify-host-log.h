/*
 * The log of a host's own software (evlog/hostlog.h), read and replayed.
 */
#ifndef VERIFY_VERIFY_HOST_LOG_H
#define VERIFY_VERIFY_HOST_LOG_H

#include <stdbool.h>

#include "evlog/hostlog.h"

#define HOST_COMPONENTS_MAX 64 /* different ones */
#define HOST_DIGEST_SIZE    32

struct host_log {
        struct hostlog_component components[HOST_COMPONENTS_MAX];
        size_t n;
        struct hostlog_ptpm ptpm; /* kind "": the log does not say which TPM it was */
        uint8_t pcr[32];          /* PCR 13 of the SHA-256 bank when exactly these were measured */
};

/*
 * Reads a log in which every event is in PCR 13, has the digest of its data, and is a component or
 * the TPM, always of one kind; anything else is ERR_MALFORMED. A component is there once for each
 * digest that it had since the TPM was reset: a TCB that starts again measures again.
 */
int host_log_read(struct bytes log, struct host_log *ret_log, struct err *err) MUST_CHECK;

/* Whether a component of this name ever ran. */
bool host_log_has(const struct host_log *log, const char *name);

/* Whether a component of this name was ever of this version. */
bool host_log_has_version(const struct host_log *log, const char *name, const char *version);

/* Whether a component of this name ever had this digest. */
bool host_log_has_digest(const struct host_log *log, const char *name,
                         const uint8_t digest[HOST_DIGEST_SIZE]);

#endif
