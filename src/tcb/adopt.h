/*
 * What the TCB before us left at the supervisor's: each engine and each parked state goes to the
 * instance that it belongs to, and to whoever used that. What cannot go on is ended, and says why.
 */
#ifndef TCB_ADOPT_H
#define TCB_ADOPT_H

#include "tcb/tcb.h"

/* For all instances of the store. An error: they are another build's, who must have them back. */
int adopt_instances(struct tcb *tcb, struct err *err) MUST_CHECK;

#endif
