/*
 * Many guests that write to their TPMs' NV at once, against one: what group commit brings.
 */
#ifndef CLI_BENCH_GROUP_H
#define CLI_BENCH_GROUP_H

#include "cli/bench-target.h"

struct bench_rates {
        double one;  /* durable writes a second of one vTPM alone */
        double many; /* of BENCH_GROUP vTPMs at once, together */
};

#define BENCH_GROUP 64

/*
 * Makes BENCH_GROUP vTPMs at the target's TCB and lets one of them, and all, write in turns; the
 * rates are medians over the turns. commands: what each has to be given first, NULL at the end;
 * increment: the write.
 */
int bench_group_run(const struct bench_target *target, const char *const *commands,
                    const char *increment, struct bench_rates *ret_rates,
                    struct err *err) MUST_CHECK;

#endif
