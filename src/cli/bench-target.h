/*
 * TPMs to measure, each as the socket that QEMU would hold: a vTPM of a TCB started for this, and
 * swtpm as the baseline.
 */
#ifndef CLI_BENCH_TARGET_H
#define CLI_BENCH_TARGET_H

#include <stddef.h>
#include <stdint.h>

#include "cli/local-host.h"

struct bench_target {
        int data_fd;              /* raw TPM commands and answers */
        int control_fd;           /* QEMU's other channel */
        struct local_host host;   /* ours */
        struct spawn_child swtpm; /* swtpm */
};
#define BENCH_TARGET_NONE                                                                          \
        {                                                                                          \
                .data_fd = -1, .control_fd = -1, .host.tcb.pidfd = -1, .host.relay.pidfd = -1,     \
                .swtpm.pidfd = -1                                                                  \
        }

/*
 * A TCB with its state in dir and a new vTPM in it: every write of its NV is sealed and durable
 * before it is answered. Powered on; TPM2_Startup is the caller's.
 */
int bench_target_start_vtpm(struct cli *cli, const char *dir, struct bench_target *ret_target,
                            struct err *err) MUST_CHECK;

/* Only the TCB. *ret_target is BENCH_TARGET_NONE before; stop it also after an error. */
int bench_target_start_host(struct cli *cli, const char *dir, struct bench_target *ret_target,
                            struct err *err) MUST_CHECK;

/* One more vTPM of the target's TCB; one that is there, with its power on; close both descriptors.
 */
int bench_target_create(const struct bench_target *target, const char *name,
                        struct err *err) MUST_CHECK;
int bench_target_attach(const struct bench_target *target, const char *name, int *ret_control,
                        int *ret_data, struct err *err) MUST_CHECK;

/* One more vTPM of the target's TCB, and the control socket for a QEMU; close it. */
int bench_target_open(const struct bench_target *target, const char *name, int *ret_control,
                      struct err *err) MUST_CHECK;

/* The same and powered on; close both descriptors. */
int bench_target_add_vtpm(const struct bench_target *target, const char *name, int *ret_control,
                          int *ret_data, struct err *err) MUST_CHECK;

/* swtpm with its state in dir. ERR_NOT_FOUND where it is not installed. */
int bench_target_start_swtpm(const char *dir, struct bench_target *ret_target,
                             struct err *err) MUST_CHECK;

/* swtpm with new state in dir, for a QEMU that gets control_fd. */
int bench_target_start_swtpm_for_qemu(const char *dir, struct bench_target *ret_target,
                                      struct err *err) MUST_CHECK;

/* Ends its processes; does nothing for a target that was not started. */
void bench_target_stop(struct bench_target *target);

/* One command and its answer's code; the answer is dropped. */
int bench_target_run(const struct bench_target *target, const uint8_t *command, size_t len,
                     uint32_t *ret_code, struct err *err) MUST_CHECK;

/* The same in hexadecimal digits; ERR_TPM for any code but success. */
int bench_target_run_hex(const struct bench_target *target, const char *hex,
                         struct err *err) MUST_CHECK;

#endif
