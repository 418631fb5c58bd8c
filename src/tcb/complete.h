/*
 * Makes the endorsement keys that were not wanted at once, and then vTPMs for the pool (pool.h):
 * one vTPM at a time, in engines of the lowest priority, and only when no vTPM was made or started
 * for a moment. What is left when the TCB ends goes on after its next start.
 */
#ifndef TCB_COMPLETE_H
#define TCB_COMPLETE_H

#include "tcb/tcb.h"

struct complete;

/* Begins with what the store has. */
int complete_new(struct tcb *tcb, struct complete **ret_complete, struct err *err) MUST_CHECK;

/* Something was made or wanted: it is not the moment. */
void complete_postpone(struct complete *complete);

/* NULL is allowed. The instances must be gone or idle. */
void complete_free(struct complete *complete);

#endif
