/*
 * catena-supervisor: keeps engines' and guests' descriptors and the storage key while catena-tcb is
 * started again, after its death or as another build. It decides nothing else: it parses one
 * table-defined protocol of its child's, opens no file but the program and the kernel's word for
 * how that child stands, and talks to nobody.
 *
 * Engines and QEMUs are its children, since the TCB makes them its siblings: they outlive the TCB
 * and die with the supervisor.
 *
 *   starting -> serving -> (died, or asked to leave) -> waiting -> starting
 *
 * A TCB that ends in order takes the supervisor with it, and so does the first one where it never
 * served. Once any has served there is always a next one: guests wait, and go on with a build that
 * works. A TCB whose loop does not turn any more is ended (watch.h).
 */
#ifndef SUPERVISOR_SUPERVISOR_H
#define SUPERVISOR_SUPERVISOR_H

#include <stdint.h>

#include "base/err.h"

struct supervisor_request {
        const char *program;     /* catena-tcb; looked up again for an upgrade (SIGHUP) */
        const char *const *argv; /* its arguments, NULL-terminated; --supervised among them */
        const char *const *env;
        /* Told what becomes of it, as lines of sd_notify(3): of use to whoever started us. */
        void (*notify)(const char *lines);
        uint64_t end_msec;  /* a TCB that is silent for so long is ended; 0: never */
        uint64_t beat_msec; /* our starter wants to hear so often that we live; 0: it does not */
};

#define SUPERVISOR_TCB_FD 3 /* the TCB's end of the channel */

/* Runs until the end of it all; *ret_status is what to exit with. */
int supervisor_run(const struct supervisor_request *request, int *ret_status,
                   struct err *err) MUST_CHECK;

#endif
