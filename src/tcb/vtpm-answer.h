/*
 * What administrators are told about one vTPM (tcb_vtpm).
 */
#ifndef TCB_VTPM_ANSWER_H
#define TCB_VTPM_ANSWER_H

#include "tcb/instance.h"
#include "tcb/request.h"

/* The last answer of a request. */
void vtpm_answer(struct request *request, const struct instance *instance);

/* One of several; precise also measures the memory that is shared with others. */
void vtpm_send(struct request *request, const struct instance *instance, bool precise);

#endif
