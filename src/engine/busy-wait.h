/*
 * Waiting for the TCB's answer to a save without going to sleep. On a quick disk the answer takes
 * about as long as two processors need to be woken, and the guest's driver waits for all of it.
 *
 * Processor time is spent only where it buys something: after an answer that took longer than
 * BUSY_WAIT_USEC (a slow disk, a busy machine) the next ones are slept for, twice as many each time
 * that another try was in vain.
 * Whoever else wants the processor gets it at each turn. doc/performance.md has what it is worth.
 */
#ifndef ENGINE_BUSY_WAIT_H
#define ENGINE_BUSY_WAIT_H

#include <stdbool.h>

#define BUSY_WAIT_USEC      200 /* at most, for one answer */
#define BUSY_WAIT_PAUSE_MIN 4   /* answers that are slept for after the first in vain */
#define BUSY_WAIT_PAUSE_MAX 256

struct busy_wait {
        unsigned left;  /* answers that are still slept for */
        unsigned pause; /* the last ones, 0: the last answer was quick */
};

/*
 * Returns when fd (a socket, owned by the caller) has something to read or was closed (true), or
 * false when the time is over or not worth spending. Reads nothing; the caller then waits as ever.
 */
bool busy_wait(struct busy_wait *wait, int fd);

#endif
