/*
 * Operator-bound vTPMs: for a QEMU that the operator starts, by hand or through libvirt, and that
 * connects to a socket at a path that is part of the vTPM's stored configuration. The socket
 * proves nothing about who connects, so such a vTPM is labelled, and the TCB decides which of two
 * QEMUs goes on with it: an outgoing one beside an incoming one, one after a save, one after a
 * restore. The rule: from a save or an INIT on, the first command of a guest makes its QEMU the
 * owner, durably, and whatever was saved before is spent.
 */
#ifndef TCB_BOUND_H
#define TCB_BOUND_H

#include "tcb/snapshot.h"
#include "tcb/socket-path.h"
#include "tcb/tcb.h"

struct bound;

/* Whether a stored configuration is one of ours, rather than a VM's. */
bool bound_is_record(struct bytes config);

/* Listens for all instances whose configuration says so. One that cannot only says why. */
int bounds_load(struct tcb *tcb, struct err *err) MUST_CHECK;

/*
 * Gives an idle vTPM without a VM this socket, in place of an earlier one. done(user, 0) when that
 * is durable; on an error nothing has changed.
 */
int bound_create(struct tcb *tcb, struct instance *instance, const struct socket_path *socket,
                 commit_fn *done, void *user, struct err *err) MUST_CHECK;

/*
 * Goes on with the engine that the TCB before us left of a vTPM with a socket, which may be NULL,
 * and with a second QEMU's. ERR_NOT_FOUND: nobody has a use for it.
 */
int bound_adopt(struct bound *bound, struct keeper_left *left, struct err *err) MUST_CHECK;

/* Ends its QEMUs' TPMs and closes the socket; the stored configuration stays. NULL is allowed. */
void bound_free(struct bound *bound);

/* What an administrator is shown. */
struct bound_view {
        const struct socket_path *socket;
        const char *trouble; /* why it does not listen, or "" */
        pid_t qemu;          /* that has the vTPM, or 0 */
        bool saved;          /* a saved VM waits to be restored */
};
struct bound_view bound_look(const struct bound *bound);

#endif
