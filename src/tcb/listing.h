/*
 * The list of all vTPMs, sent a part in each turn of the loop: with 20,000 of them it would
 * otherwise keep every guest waiting that writes to its TPM.
 */
#ifndef TCB_LISTING_H
#define TCB_LISTING_H

#include "tcb/request.h"
#include "tcb/tcb.h"

struct listing;

/* Answers the request with those that are there now; any that come meanwhile are left out. */
int listing_start(struct tcb *tcb, struct request *request, struct err *err) MUST_CHECK;

/* The instance is about to go. */
void listings_forget(struct tcb *tcb, const struct instance *instance);

/* The TCB ends: whoever waits for the rest is told so. */
void listings_free(struct tcb *tcb);

#endif
