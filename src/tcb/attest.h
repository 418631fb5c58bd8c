/*
 * One challenge: collects each VM's evidence through its agent, checks it against the TCB's own
 * engine, states in a leaf what it knows itself, and has the pTPM sign the tree of leaves. Then
 * all of it goes to the challenger, who believes none of it without checking.
 */
#ifndef TCB_ATTEST_H
#define TCB_ATTEST_H

#include "tcb/request.h"
#include "tcb/tcb.h"

/* Answers the request when the evidence is complete; on an error here it does not. */
int attest_start(struct tcb *tcb, const struct tcb_attest *attest, struct request *request,
                 struct err *err) MUST_CHECK;

#endif
