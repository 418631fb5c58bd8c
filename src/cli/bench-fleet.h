/*
 * Many vTPMs on one host, for catena bench vtpm: what each costs in memory, alive and parked, and
 * how long a parked one takes to answer.
 */
#ifndef CLI_BENCH_FLEET_H
#define CLI_BENCH_FLEET_H

#include <stddef.h>

#include "cli/cli.h"

#define BENCH_FLEET_MAX 9000 /* two descriptors each, of 20000 */

/*
 * Prints the figures memory-live, memory-parked, wake, wake-burst and wake-idle of n vTPMs, with
 * states below base; only those whose names begin with only, if it is not NULL. A wake is measured
 * from the first byte of a parked guest's command to its answer, of one guest after the other: 2 ms
 * later; at once; or 20 ms later, when the processors sleep. Its baseline is pwrite and fdatasync
 * of a page below base, in turn with the wakes and as long after the one before: a wake is durable.
 */
int bench_fleet(struct cli *cli, const char *base, size_t n, const char *only,
                struct err *err) MUST_CHECK;

#endif
