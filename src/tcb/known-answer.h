/*
 * The known-answer test of the manufacture: at the TCB's start an engine makes all endorsement keys
 * from a fixed seed, stores nothing and ends. Until their names are those that are recorded with
 * the profile, nothing is manufactured from a seed that somebody may want to use again. vTPMs that
 * exist load as ever: their keys are in their state; and ones with a random seed can be made.
 */
#ifndef TCB_KNOWN_ANSWER_H
#define TCB_KNOWN_ANSWER_H

#include "tcb/engine-host.h"
#include "tcb/profile.h"

struct known_answer;

/*
 * Starts it; the engine's path, limits and identity as in the request, the rest is set here. An
 * engine that does not start is a failure of the test.
 */
int known_answer_start(const struct engine_host_request *request, const struct profile *profile,
                       struct known_answer **ret_test, struct err *err) MUST_CHECK;

/* 0 when it passed; ERR_CONFLICT while it runs, ERR_UNSUPPORTED when other keys were made. */
int known_answer_check(const struct known_answer *test, struct err *err) MUST_CHECK;

/* NULL is allowed. */
void known_answer_free(struct known_answer *test);

#endif
