/*
 * What making a vTPM costs, beside swtpm_setup, which makes an RSA-2048 and a P-384 key and writes
 * its state without waiting for the disk.
 */
#ifndef CLI_BENCH_CREATE_H
#define CLI_BENCH_CREATE_H

#include "cli/bench-target.h"

/*
 * Prints the figures create-p256, create-full (P-256, RSA-2048 and P-384) and create-pool (the same
 * from the pool, which fills while the host is quiet): milliseconds from the request to the durable
 * answer, medians of many vTPMs at the target's TCB. swtpm_setup takes turns with them, with states
 * below dir, under a parent that reaps what it leaves behind. Only figures whose names begin with
 * only, if it is not NULL.
 */
int bench_create(struct cli *cli, const struct bench_target *target, const char *dir,
                 const char *only, struct err *err) MUST_CHECK;

#endif
