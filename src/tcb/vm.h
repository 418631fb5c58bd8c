/*
 * A VM: its configuration in the store, its vTPM instance, and QEMU and the guest's agent while
 * it runs. Life cycle:
 *
 *   off -> starting (vTPM loads) -> booting (QEMU runs) -> running (agent answered) -> off,
 *   with stopping on the way when somebody asked; every state can fall to off, with a reason.
 *
 * Engine and guest die together: a guest never runs on with a dead TPM.
 */
#ifndef TCB_VM_H
#define TCB_VM_H

#include "base/sm.h"
#include "base/spawn.h"
#include "tcb/agent-link.h"
#include "tcb/request.h"
#include "tcb/tcb.h"
#include "vmm/argv.h"
#include "vmm/qmp.h"

enum vm_state { VM_OFF, VM_STARTING, VM_BOOTING, VM_RUNNING, VM_STOPPING };

struct vm {
        struct vm *next;
        struct tcb *tcb;
        struct sm sm;
        struct vmm_config config;
        char image[TCB_NAME_MAX + 1];
        struct instance *instance;
        bool stored;      /* durable; until then nobody finds it by name */
        char reason[300]; /* why it went off last, or "" */

        /* While it runs. */
        struct accel accel;
        enum vmm_accel accelerator;
        struct spawn_child qemu;
        struct spawn_child
            leaving; /* one that was killed and has not ended yet: guest_has_left() */
        int control; /* QEMU's end of the emulator channel until QEMU has it, or -1 */
        struct qmp *qmp;
        struct agent_link *agent;
        sd_event_source *qemu_source;
        sd_event_source *qmp_source;
        sd_event_source *timer;    /* the accelerator's probe */
        sd_event_source *restart;  /* QEMU is to be started again once the callbacks are left */
        sd_event_source *patience; /* of starter or stopper */
        bool measured;             /* the starter was told that the firmware measures */
        struct request *starter;   /* who waits for the guest, NULL if nobody */
        struct request *stopper;
};

/* The VM's state in a word. */
const char *vm_state_name(const struct vm *vm);

/* Finds all VMs of the store; their instances are loaded already. */
int vms_load(struct tcb *tcb, struct err *err) MUST_CHECK;

/* A VM for an instance that was just manufactured. done(user, 0) when durable. */
struct vm_request {
        struct vmm_config config;
        char image[TCB_NAME_MAX + 1];
        struct instance *instance;
};
int vm_create(struct tcb *tcb, const struct vm_request *vm_request, commit_fn *done, void *user,
              struct vm **ret_vm, struct err *err) MUST_CHECK;

/* ERR_NOT_FOUND unless a VM could start with this image now. */
int vm_check_image(struct tcb *tcb, const char *image, struct err *err) MUST_CHECK;

/* Both answer the request when it is done or has failed; on an error here they do not. */
int vm_start(struct vm *vm, struct request *request, struct err *err) MUST_CHECK;
int vm_stop(struct vm *vm, bool force, struct request *request, struct err *err) MUST_CHECK;

/*
 * Goes on with the engine and the QEMU that the TCB before us left; without either the VM is off,
 * and says why.
 */
int vm_adopt(struct vm *vm, struct keeper_left *left, struct err *err) MUST_CHECK;

/* Asks the guest to power off, or ends the VM at once when nobody in it would hear. */
void vm_end(struct vm *vm);

/* Ends QEMU and engine at once, with this reason. */
void vm_kill(struct vm *vm, const char *reason);

void vm_free(struct vm *vm);

#endif
