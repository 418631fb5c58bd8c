/*
 * Parking: a vTPM whose guest is idle costs no process. Its engine hands over its volatile state
 * and QEMU's two channels and ends; the state is sealed in the store, and the first byte on either
 * channel has another engine go on with it. Only this process wakes what it parked, or the next TCB
 * if a supervisor gives it the two channels: otherwise there is no guest any more, and a state that
 * was left over is dropped at the next start.
 *
 *   live --engine_park--> parking --state durable--> parked --first byte--> waking --> live
 *
 * While it is parking its engine waits; a byte that comes first has it go on. A state is used up
 * durably before the woken engine serves anybody. A wake for which the host lacks something now
 * (processes, memory, a disk that can be read) is tried again each second, and the guest waits; a
 * state that is damaged or gone ends the instance, as the death of an engine does: a guest never
 * goes on with another TPM than its own.
 *
 * Of an operator-bound instance only the first QEMU's engine is parked: a second one, which has yet
 * to claim the vTPM, keeps its own until then.
 */
#ifndef TCB_PARKING_H
#define TCB_PARKING_H

#include "tcb/instance.h"

struct parking;

/* For all instances of the host, by the policy of its configuration. */
int parking_new(struct instance_host *host, struct parking **ret_parking,
                struct err *err) MUST_CHECK;
void parking_free(struct parking *parking);

/*
 * Asks a live instance to park; done(user, 0) when it is, done(user, 1) when it goes on, busy.
 * idle_only: not if its guest did anything since it was asked last. done may be NULL.
 */
int parking_park(struct instance *instance, bool idle_only, commit_fn *done, void *user,
                 struct err *err) MUST_CHECK;

/*
 * Wakes a parked one; done(user, 0) when it is live, done(user, 1) if it ended. An error: it stays
 * parked until its guest or somebody else wants it.
 */
int parking_wake(struct instance *instance, commit_fn *done, void *user,
                 struct err *err) MUST_CHECK;

/*
 * How many of n_live are asked in this second, so that each is asked twice in after seconds: that
 * it did nothing in between is what makes it idle. What is left over of one question stays in
 * *credit, 0 at first. after 0: none.
 */
size_t parking_pace(uint64_t *credit, size_t n_live, uint64_t after);

/* Whether less than below percent of the memory in this /proc/meminfo is available. */
bool parking_is_short(const char *meminfo, uint64_t below);

/* instance.c: it is live (again); its engine answered; its engine and what is parked are no more.
 */
void parking_live(struct instance *instance);
int parking_answer(struct instance *instance, const struct engine_parked *parked, int fds[2],
                   struct err *err) MUST_CHECK;
void parking_end(struct instance *instance);

/* instance.c: what the TCB before us parked. Takes the two channels. */
int parking_adopt(struct instance *instance, const struct kept_parked *kept, int fds[2],
                  struct err *err) MUST_CHECK;

#endif
