/*
 * The engine of a QEMU that the TCB did not start (by hand, libvirt). What QEMU saves with its VM
 * is not the TPM's state but a token, used once, that names it; the state stays with the TCB. From
 * a save and from every INIT on the engine is locked: the guest's next command asks the TCB, which
 * decides who goes on (PROTOCOLS, QEMU and state). Nothing is written for a guest before that.
 */
#ifndef ENGINE_BOUND_H
#define ENGINE_BOUND_H

#include "engine/engine.h"

/* Asks whether the guest may go on; if so the engine is not locked any more. */
int bound_unlock(struct engine *engine, bool *ret_granted, struct err *err) MUST_CHECK;

/*
 * Hands the present state to the TCB and locks. ret_result is 0 and the token is written, or it
 * is what QEMU is told (enum control_result).
 */
int bound_save(struct engine *engine, uint8_t ret_token[ENGINE_TOKEN_SIZE], uint32_t *ret_result,
               struct err *err) MUST_CHECK;

/* Loads the state that the token names, if the TCB gives it; the next INIT resumes it. */
int bound_restore(struct engine *engine, struct bytes token, uint32_t *ret_result,
                  struct err *err) MUST_CHECK;

#endif
