/*
 * The beginning of an enrolment: who the host is, with that EK which has a manufacturer's
 * certificate.
 */
#ifndef TCB_ENROL_H
#define TCB_ENROL_H

#include "tcb/request.h"
#include "tcb/tcb.h"

/* Answers the request with tcb_enrol_identity, later; on an error here it does not. */
int enrol_begin(struct tcb *tcb, struct request *request, struct err *err) MUST_CHECK;

#endif
