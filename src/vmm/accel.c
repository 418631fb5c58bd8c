#include "vmm/accel.h"

#include <string.h>

#include "base/macro.h"

enum { STATE_IDLE, STATE_PROBING, STATE_SETTLED, STATE_FAILED, STATE_COUNT };

static const struct sm_state states[STATE_COUNT] = {
    [STATE_IDLE] = {"idle", SM_TO(STATE_PROBING) | SM_TO(STATE_SETTLED) | SM_TO(STATE_FAILED)},
    [STATE_PROBING] = {"probing", SM_TO(STATE_SETTLED) | SM_TO(STATE_FAILED)},
    [STATE_SETTLED] = {"settled", 0},
    [STATE_FAILED] = {"failed", 0},
};

static struct accel_output launch(struct accel *accel, unsigned state, enum vmm_accel which,
                                  const char *reason)
{
        sm_move(&accel->sm, state);
        return (struct accel_output){
            .action = ACCEL_DO_LAUNCH,
            .accel = which,
            .timer_ms = state == STATE_PROBING && accel->choice == ACCEL_AUTO ? ACCEL_PROBE_MS : 0,
            .reason = reason,
        };
}

static struct accel_output fail(struct accel *accel, const char *reason)
{
        sm_move(&accel->sm, STATE_FAILED);
        return (struct accel_output){.action = ACCEL_DO_FAIL, .reason = reason};
}

struct accel_output accel_start(struct accel *accel, enum accel_choice choice,
                                enum accel_memory memory, bool kvm_usable)
{
        accel->choice = choice;
        sm_init(&accel->sm, "accel", states, STATE_COUNT, STATE_IDLE, NULL);
        if (choice == ACCEL_TCG)
                return launch(accel, STATE_SETTLED, VMM_ACCEL_TCG, NULL);
        if (choice == ACCEL_KVM && !kvm_usable)
                return fail(accel, "KVM is configured, but /dev/kvm cannot be used");
        if (choice == ACCEL_KVM)
                return launch(accel, STATE_PROBING, VMM_ACCEL_KVM, NULL);
        if (!kvm_usable)
                return launch(accel, STATE_SETTLED, VMM_ACCEL_TCG, "no usable /dev/kvm: using TCG");
        if (memory == ACCEL_KVM_FAILS)
                return launch(accel, STATE_SETTLED, VMM_ACCEL_TCG,
                              "KVM did not run a guest here before: using TCG");
        return launch(accel, STATE_PROBING, VMM_ACCEL_KVM, NULL);
}

static struct accel_output settle(struct accel *accel)
{
        sm_move(&accel->sm, STATE_SETTLED);
        return (struct accel_output){.accel = VMM_ACCEL_KVM, .memory = ACCEL_KVM_WORKS};
}

static struct accel_output fall_back(struct accel *accel, const char *reason)
{
        if (accel->choice != ACCEL_AUTO)
                return fail(accel, "QEMU with KVM ended before the guest's firmware ran");
        sm_move(&accel->sm, STATE_SETTLED);
        return (struct accel_output){
            .action = ACCEL_DO_RESTART,
            .accel = VMM_ACCEL_TCG,
            .memory = ACCEL_KVM_FAILS,
            .reason = reason,
        };
}

struct accel_output accel_feed(struct accel *accel, enum accel_input input)
{
        /* Once settled, the end of QEMU is the end of the VM and none of our business. */
        if (accel->sm.state != STATE_PROBING)
                return (struct accel_output){0};
        switch (input) {
        case ACCEL_IN_STARTUP:
                return settle(accel);
        case ACCEL_IN_TIMER:
                if (accel->choice != ACCEL_AUTO)
                        break;
                return fall_back(accel, "the guest's firmware did not start under KVM: using TCG");
        case ACCEL_IN_ENDED:
                return fall_back(accel, "QEMU with KVM ended early: using TCG");
        case ACCEL_IN_COUNT:
                break;
        }
        return (struct accel_output){0};
}

bool accel_choice_from_name(const char *name, enum accel_choice *ret_choice)
{
        static const char *const names[] = {
            [ACCEL_AUTO] = "auto", [ACCEL_KVM] = "kvm", [ACCEL_TCG] = "tcg"};

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (strcmp(name, names[i]) == 0) {
                        *ret_choice = (enum accel_choice)i;
                        return true;
                }
        return false;
}
