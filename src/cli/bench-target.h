/*
 * TPMs to measure, each as the socket that QEMU would hold: one of our engines with a small core
 * of its own behind it, and swtpm as the baseline.
 */
#ifndef CLI_BENCH_TARGET_H
#define CLI_BENCH_TARGET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/spawn.h"

struct bench_target {
        int data_fd;              /* raw TPM commands and answers */
        int control_fd;           /* ours: QEMU's other channel */
        pid_t core_pid;           /* ours: the process that plays the TCB */
        int core_fd;              /* ours: closing it ends that process */
        struct spawn_child child; /* swtpm */
};

/*
 * An engine (the program at path) whose blobs are written to a file in dir with pwrite(2) and
 * fdatasync(2) before they are acknowledged: durable, not sealed. Powered on; TPM2_Startup is the
 * caller's.
 */
int bench_target_start_engine(const char *path, const char *dir, struct bench_target *ret_target,
                              struct err *err) MUST_CHECK;

/* swtpm with its state in dir. ERR_NOT_FOUND where it is not installed. */
int bench_target_start_swtpm(const char *dir, struct bench_target *ret_target,
                             struct err *err) MUST_CHECK;

/* Ends its processes; does nothing for a target that was not started. */
void bench_target_stop(struct bench_target *target);

/* One command and its answer's code; the answer is dropped. */
int bench_target_run(const struct bench_target *target, const uint8_t *command, size_t len,
                     uint32_t *ret_code, struct err *err) MUST_CHECK;

#endif
