/*
 * Spare engines: forked, confined and warm before anybody needs them, so that a parked vTPM wakes,
 * and a new one is made, without waiting for a process. A spare holds nothing of any vTPM: it has a
 * user id that nobody else has, its end of a core channel, and waits for whose it will be.
 *
 * They are replaced when nobody has taken one for SPARES_QUIET_USEC, since to fork and to warm one
 * takes as much of a processor as a wake, which would wait for it; or, if none is left, when that
 * wake is over (SPARES_EMPTY_USEC).
 * Whoever finds none forks an engine as ever.
 */
#ifndef TCB_SPARES_H
#define TCB_SPARES_H

#include "base/spawn.h"

#define SPARES_MAX          64
#define SPARES_QUIET_USEC   3000
#define SPARES_EMPTY_USEC   1000
#define SPARES_NEXT_USEC    1500   /* between two of them */
#define SPARES_WARMING_USEC 100000 /* asked again so often while the zygote warms up */
#define SPARES_WARM_USEC    5000   /* after its fork one is warm, unless the machine is very busy */

struct instance_host;
struct spares;

struct spare {
        struct spawn_child child;
        int core; /* our end */
        uid_t uid;
};

/* As many as the host's configuration says; they are made from its event loop. */
int spares_new(struct instance_host *host, struct spares **ret_spares, struct err *err) MUST_CHECK;

/* Ends those that nobody took. */
void spares_free(struct spares *spares);

/*
 * Takes one that lives; the caller owns its channel and reaps it. False if there is none: all are
 * as nice as the configuration says engines are, and suit nobody who wants another value.
 */
bool spares_take(struct spares *spares, unsigned nice, struct spare *ret_spare) MUST_CHECK;

/* How many stand ready. */
size_t spares_count(const struct spares *spares);

#endif
