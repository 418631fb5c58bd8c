/*
 * A whole TCB in the test's process, with a real arbiter and real engines.
 */
#ifndef TCB_TEST_TCB_H
#define TCB_TEST_TCB_H

#include "lib/test.h"
#include "tcb/create.h"

/* Opens one with its state in test_dir(), where the one before it left off. */
struct tcb *test_tcb_open(uint64_t pool);

/* Turns the loop until *done, for a minute at most. */
void test_tcb_run(struct tcb *tcb, const bool *done);

/* Makes a vTPM of this name; NULL and *ret_failure when there is none. */
struct instance *test_tcb_create(struct tcb *tcb, const char *name, uint8_t eks,
                                 struct err *ret_failure);

#endif
