/*
 * Waiting for a quick peer without going to sleep. Between processes that answer each other within
 * microseconds most of the time is spent on sleeping processors that are woken: the engine waits
 * this way for the TCB's answer to a save and for the guest's next command, the TCB for the next
 * engine that has something to say.
 *
 * Processor time is spent only where it buys something: after a wait in vain (a slow disk, a busy
 * machine, a guest that has done what it wanted) the next ones are slept for, twice as many each
 * time that another try was in vain.
 * Whoever else wants the processor gets it at each turn. doc/performance.md has what it is worth.
 */
#ifndef BASE_BUSY_WAIT_H
#define BASE_BUSY_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#define BUSY_WAIT_ANSWER_USEC 200 /* at most, for an answer from the disk */
#define BUSY_WAIT_EVENT_USEC  100 /* at most, for a peer that is working */
#define BUSY_WAIT_PAUSE_MIN   4   /* that are slept for after the first in vain */
#define BUSY_WAIT_PAUSE_MAX   256

struct busy_wait {
        unsigned left;  /* that are still slept for */
        unsigned pause; /* the last ones, 0: the last wait was short */
};

/*
 * Asks is_over() again and again: true as soon as that is, or false when so many microseconds are
 * over or not worth spending. The caller then waits as ever.
 */
bool busy_wait(struct busy_wait *wait, uint64_t usec, bool (*is_over)(void *user), void *user);

/*
 * Returns when the socket has something to read or was closed (true), or false when the time is
 * over or not worth spending. Reads nothing; the caller then waits as ever.
 */
bool busy_wait_answer(struct busy_wait *wait, int socket);

/* The same for the descriptor of an epoll(7) set, whose members are level-triggered. */
bool busy_wait_event(struct busy_wait *wait, int epoll);

#endif
