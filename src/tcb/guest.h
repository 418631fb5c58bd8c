/*
 * The running half of a VM: QEMU with its descriptors, QMP, the accelerator's probe and the
 * agent's channel. Between the TCB's modules only.
 */
#ifndef TCB_GUEST_H
#define TCB_GUEST_H

#include "tcb/vm.h"

/* Decides between KVM and TCG for a new start. */
struct accel_output guest_choose_accel(struct vm *vm);

/* Makes QEMU's end of the emulator's control channel; *ret_engine_end goes to the engine. */
int guest_make_control(struct vm *vm, int *ret_engine_end, struct err *err) MUST_CHECK;

/* Starts QEMU on an engine that is ready. */
int guest_launch(struct vm *vm, struct err *err) MUST_CHECK;

/* The supervisor keeps QEMU, this process, and its channels for the next TCB. */
void guest_keep(const struct vm *vm, const struct spawn_child *qemu);

/* Goes on with the QEMU that the TCB before us left; ERR_NOT_FOUND says why not. */
int guest_adopt(struct vm *vm, struct err *err) MUST_CHECK;

/* Something happened that the choice of the accelerator depends on. */
void guest_feed_accel(struct vm *vm, enum accel_input input);

/* Does what the decision says: timers, memory, another start. */
void guest_apply_accel(struct vm *vm, const struct accel_output *output);

/* What the guest wrote to its serial console since its last start, opened for reading. */
int guest_open_console(struct vm *vm, int *ret_fd, struct err *err) MUST_CHECK;

/*
 * Ends QEMU and everything around it, if there is anything. A QEMU that takes longer to end than
 * others can bear to wait is left behind; it does nothing any more, but may hold what it had open.
 */
void guest_end(struct vm *vm);

/* Nothing is left of the QEMU before. */
bool guest_has_left(struct vm *vm);

/* vm.c: starts the instance's engine for this VM. */
int vm_start_engine(struct vm *vm, struct err *err) MUST_CHECK;

#endif
