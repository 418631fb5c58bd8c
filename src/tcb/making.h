/*
 * Keys for an instance: the manufacture of a new one (instance_create()), and the making of more
 * endorsement keys later, while it is idle. Between the TCB's modules only.
 *
 * Nothing is stored before everything is there: state, names and public areas become durable in
 * one commit. A crash before it leaves no trace; a crash while more keys are made leaves the
 * instance as it was, and they are made again.
 */
#ifndef TCB_MAKING_H
#define TCB_MAKING_H

#include "tcb/instance.h"
#include "tpmwire/ek.h"

struct making;

/*
 * Makes the keys that the instance still lacks (instance->later) in an engine of low priority. The
 * instance must be idle. done() is told once: NULL when they are durable. instance_start() and the
 * like end it before its time, with ERR_INTERRUPTED; the next attempt begins anew.
 */
int making_complete(struct instance *instance, void (*done)(void *user, const struct err *failure),
                    void *user, struct err *err) MUST_CHECK;

/* instance.c: what the engine of an instance with a making does. */
int making_persist(struct instance *instance, const struct engine_persist *persist,
                   struct err *err) MUST_CHECK;
void making_fail(struct instance *instance, const struct err *failure);

/* The public area of an endorsement key; free() it. ERR_NOT_FOUND if there is none. */
int making_get_ek(struct instance *instance, enum tpm_ek_kind kind, uint8_t **ret_public,
                  size_t *ret_len, struct err *err) MUST_CHECK;

/*
 * The certificates of endorsement keys that were in the TPM's NV when its state was imported, as
 * they stood there; free() the memory that they are in.
 */
struct making_certs {
        struct bytes der[TPM_EK_COUNT]; /* empty: none */
        uint8_t *memory;
};
int making_get_certs(struct instance *instance, struct making_certs *ret_certs,
                     struct err *err) MUST_CHECK;

/* Which keys are still to be made, into instance->later, and which have a
 * certificate; and forgetting all records of keys. */
int making_load(struct instance *instance, struct err *err) MUST_CHECK;
int making_forget_records(struct instance *instance, struct err *err) MUST_CHECK;

/* Wipes what it holds. NULL is allowed. */
void making_free(struct making *making);

#endif
