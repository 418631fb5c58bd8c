/* Shared by bound.c (sockets, configuration) and bound-peer.c (QEMUs and decisions). */
#ifndef TCB_BOUND_PRIVATE_H
#define TCB_BOUND_PRIVATE_H

#include "tcb/bound.h"

/*
 * A QEMU. The first has the instance's engine; the second one an engine of its own, without a TPM
 * until it shows a token, and becomes the first when its guest goes on.
 */
struct bound_peer {
        struct bound *bound;
        struct engine_host *engine; /* of the second, else NULL */
        int watch;                  /* its socket once more: shows at once that it is gone */
        pid_t pid;
        bool restored; /* by this token, and no command of its guest ran yet */
        uint8_t digest[SNAPSHOT_DIGEST_SIZE];
        uint8_t token[ENGINE_TOKEN_SIZE]; /* of the save that is being committed */
        bool saving;
};

struct bound {
        struct tcb *tcb;
        struct instance *instance;
        struct socket_path socket;
        int listener; /* -1: see trouble */
        struct socket_place place;
        sd_event_source *source;
        char trouble[ERR_TEXT_MAX];
        struct snapshot saved;
        struct bound_peer *first;
        struct bound_peer *second;
};

/* Forgets QEMUs that are gone although their engines have not said so yet. */
void bound_reap_gone(struct bound *bound);

/* Takes fd, a new connection. What is refused is logged. */
void bound_welcome(struct bound *bound, int fd);

/*
 * The QEMUs that the TCB before us left, the first with the instance's engine, or NULL: it
 * connected and has none yet. An engine without a QEMU ends: ERR_NOT_FOUND.
 */
int bound_adopt_first(struct bound *bound, struct keeper_left *left, struct err *err) MUST_CHECK;
int bound_adopt_second(struct bound *bound, struct err *err) MUST_CHECK;

/* Closes the sockets of both QEMUs. */
void bound_end_peers(struct bound *bound);

#endif
