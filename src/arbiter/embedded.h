/*
 * The software pTPM: one of our own engines, run by the arbiter for machines without a TPM. Its
 * state is a file of mode 0600 that nothing seals: good for trying and testing, and every report
 * says so.
 */
#ifndef ARBITER_EMBEDDED_H
#define ARBITER_EMBEDDED_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "tpm/tpm.h"

struct embedded;

struct embedded_request {
        const char *state;  /* directory of ptpm.state */
        const char *engine; /* path of catena-vtpm */
        uid_t uid;          /* for the engine when we are root, else ignored */
        bool fresh;         /* there may be no state file yet */
};

/*
 * Starts the engine with the stored state; if there is no state file yet, manufactures one, but
 * only for a host whose store is fresh too. Powers the TPM on (CMD_INIT); PCRs are zero. Errors:
 * ERR_DAMAGED for a state file that is gone, not whole or not loaded by the engine.
 */
int embedded_open(const struct embedded_request *request, struct embedded **ret_embedded,
                  struct err *err) MUST_CHECK;

/* How to reach it with tpm_open_fd(): its data socket, and its wishes to be stored served. */
void embedded_options(struct embedded *embedded, struct tpm_fd_options *ret_options);

/*
 * Waits until fd has something to read, and serves the engine meanwhile. ERR_UNREACHABLE: the
 * engine ended, and with it what was loaded and measured.
 */
int embedded_wait(struct embedded *embedded, int fd, struct err *err) MUST_CHECK;

/* The directory that its state is saved in; stays the embedded TPM's. */
int embedded_dir(const struct embedded *embedded);

/* The engine's process. */
pid_t embedded_pid(const struct embedded *embedded);

/* What the kernel did not grant to the engine's sandbox, or "". */
const char *embedded_degraded(const struct embedded *embedded);

/* Ends the engine. NULL is allowed. */
void embedded_close(struct embedded *embedded);

#endif
