/*
 * Making and deleting vTPMs, alone or for a VM: the asynchronous part that both requests share.
 */
#ifndef TCB_CREATE_H
#define TCB_CREATE_H

#include "tcb/request.h"
#include "tcb/tcb.h"

/* Called once: with the instance, or with why there is none. */
typedef void create_fn(void *user, struct instance *instance, const struct err *failure);

struct create_request {
        const char *name;
        const uint8_t *uuid;    /* 16 bytes; all zero: a random one (RFC 9562, version 4) */
        struct bytes permanent; /* import: this state; empty: manufacture */
        uint8_t eks; /* exactly these keys; 0: P-256 at once and RSA-2048 in the background */
};

/* ERR_CONFLICT where name or UUID are taken. done() follows unless an error is returned. */
int create_vtpm(struct tcb *tcb, const struct create_request *request, create_fn *done, void *user,
                struct err *err) MUST_CHECK;

/*
 * What was made a vTPM for did not come about: the idle instance is deleted, and the request then
 * answered with why. Whoever has no request any more is not told.
 */
void undo_vtpm(struct tcb *tcb, struct instance *instance, struct request *request,
               const struct err *why);

/* Deletes an idle instance for good and answers the request when that is durable. */
int delete_vtpm(struct tcb *tcb, struct instance *instance, struct request *request,
                struct err *err) MUST_CHECK;

#endif
