/*
 * What to do when a TCB has ended: start it again, at once or after a while, or give up. Pure.
 */
#ifndef SUPERVISOR_PACE_H
#define SUPERVISOR_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_QUICK_MSEC 1000 /* a TCB that serves so long is a good one */
#define PACE_DEATHS_MAX 8    /* quick ones in a row: the next is the end */

struct pace {
        unsigned deaths; /* quick ones in a row */
};

/*
 * One ended that had served for served_msec (0: it never did). Milliseconds to wait before the next
 * start, or -1: it is of no use.
 */
int pace_after_death(struct pace *pace, uint64_t served_msec);

#endif
