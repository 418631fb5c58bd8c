/*
 * How long to wait when a TCB has ended, before the next one starts. There is always a next one:
 * guests that wait can go on once somebody has put a build there that works. Pure.
 */
#ifndef SUPERVISOR_PACE_H
#define SUPERVISOR_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_QUICK_MSEC 1000  /* a TCB that serves less did nothing for anybody */
#define PACE_GOOD_MSEC  60000 /* one that serves so long is a good one */
#define PACE_LONGEST    10000 /* milliseconds */

struct pace {
        unsigned deaths; /* in a row, of TCBs that were no good ones */
};

/*
 * One ended that had served for served_msec (0: it never did). Milliseconds to wait: none at first,
 * longer each time, and for one that served no longer than it did: guests are better off with half
 * of the time than with less.
 */
uint64_t pace_after_death(struct pace *pace, uint64_t served_msec);

/* So many died in a row that it is no chance. */
bool pace_is_bad(const struct pace *pace);

#endif
