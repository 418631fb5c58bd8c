/*
 * The arbiter: owns the connection to the host's TPM and answers the TCB's requests
 * (wire/ptpm.def), one after another. A hardware TPM takes 100 to 700 ms a command; the TCB's loop
 * never waits for it. Whatever is loaded for a request is flushed with it; only the AK stays.
 */
#ifndef ARBITER_ARBITER_H
#define ARBITER_ARBITER_H

#include "base/err.h"
#include "wire/link.h"

struct arbiter;

/* An arbiter that answers on this link. */
int arbiter_new(struct wire_link *link, struct arbiter **ret_arbiter, struct err *err) MUST_CHECK;
void arbiter_free(struct arbiter *arbiter);

/*
 * Serves until the TCB closes (0), breaks the protocol or the software pTPM's engine ends (an
 * error). A request that fails is answered with ptpm_error and does not end the arbiter.
 */
int arbiter_run(struct arbiter *arbiter, struct err *err) MUST_CHECK;

#endif
