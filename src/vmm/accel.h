/*
 * KVM or TCG for a VM. A /dev/kvm that opens proves nothing: under some hypervisors QEMU starts
 * with it and then hangs or stops with an internal error (PLATFORM: measured). So KVM is kept only
 * when the guest's TPM2_Startup reaches its engine in time; otherwise the VM is started again under
 * TCG and the host remembers. A pure state machine: the launcher feeds it what happened and does
 * what it says.
 */
#ifndef VMM_ACCEL_H
#define VMM_ACCEL_H

#include <stdbool.h>

#include "base/sm.h"
#include "vmm/argv.h"

#define ACCEL_PROBE_MS 5000 /* OVMF sends TPM2_Startup within a second under KVM */

enum accel_choice { ACCEL_AUTO, ACCEL_KVM, ACCEL_TCG };

/* What earlier starts on this host found; to be kept per boot of the host. */
enum accel_memory { ACCEL_UNKNOWN, ACCEL_KVM_WORKS, ACCEL_KVM_FAILS };

enum accel_input {
        ACCEL_IN_STARTUP, /* the guest's TPM2_Startup reached the engine */
        ACCEL_IN_TIMER,   /* the timer that accel_start() asked for fired */
        ACCEL_IN_ENDED,   /* QEMU ended, or QMP reported internal-error */
        ACCEL_IN_COUNT,
};

enum accel_action {
        ACCEL_DO_NOTHING,
        ACCEL_DO_LAUNCH,  /* start QEMU with output.accel */
        ACCEL_DO_RESTART, /* end QEMU if it still runs, put the engine back, start with accel */
        ACCEL_DO_FAIL,    /* the VM cannot run: output.reason says why */
};

struct accel_output {
        enum accel_action action;
        enum vmm_accel accel;
        unsigned timer_ms;        /* start a timer; 0: none */
        enum accel_memory memory; /* remember this; ACCEL_UNKNOWN: nothing new */
        const char *reason;       /* for the log; NULL if there is nothing to say */
};

struct accel {
        struct sm sm;
        enum accel_choice choice;
};

/* kvm_usable: /dev/kvm opens for the uid that QEMU will have. */
struct accel_output accel_start(struct accel *accel, enum accel_choice choice,
                                enum accel_memory memory, bool kvm_usable);

/* One step of the choice: what happened goes in, what to do comes out. */
struct accel_output accel_feed(struct accel *accel, enum accel_input input);

/* "auto", "kvm" or "tcg"; false for anything else. */
bool accel_choice_from_name(const char *name, enum accel_choice *ret_choice);

#endif
