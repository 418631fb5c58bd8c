/*
 * catena-vtpm --zygote: started once by the TCB, warmed up, without any TPM's state, secret or
 * client; each engine is a copy of it that gives up its privileges before it serves anybody
 * (wire/zygote.def). One copy costs a fraction of a new process' time and memory.
 *
 * What copies share: the addresses of code and data, unlike programs that are started anew. What
 * they must not share is random numbers: all that OpenSSL and libtpms draw is the kernel's
 * (interpose.h).
 */
#ifndef ENGINE_ZYGOTE_H
#define ENGINE_ZYGOTE_H

#include <stdbool.h>

#include "base/err.h"

#define ZYGOTE_FD 3 /* to the TCB */

/* What an engine is told of its own start. */
struct zygote_child {
        const char *words; /* what the kernel did not grant, or "" */
        bool spare;        /* forked ahead of time: it has no control channel yet */
};

/*
 * Serves until the TCB closes the channel (0, *ret_child.words NULL), and returns in each child
 * too: with the engine's descriptors in place, its identity and its limits, not yet in the sandbox,
 * and *ret_child filled. A child that fails has its descriptors all the same, to say so.
 */
int zygote_run(struct zygote_child *ret_child, struct err *err) MUST_CHECK;

#endif
