/*
 * Waiting for the three channels at once. Registered with epoll(7) rather than passed to poll(2)
 * each time: between two commands nothing has to be set up anew, which is measurable (8 us a
 * command in all; doc/performance.md).
 */
#ifndef ENGINE_WATCH_H
#define ENGINE_WATCH_H

#include <stdint.h>

#include "base/err.h"

#define WATCH_SLOTS 3

struct watch {
        int epoll; /* -1: none */
        struct watch_slot {
                int fd;              /* -1: nothing */
                uint32_t generation; /* of whoever has the descriptor: numbers are used again */
                uint32_t events;
        } slots[WATCH_SLOTS];
};

/* Before the sandbox, which does not allow new ones. */
int watch_open(struct watch *watch, struct err *err) MUST_CHECK;
void watch_close(struct watch *watch);

/* What a slot waits for from now on; costs a system call only when it differs. */
int watch_set(struct watch *watch, unsigned slot, const struct watch_slot *wanted,
              struct err *err) MUST_CHECK;

/* Waits; ret_revents[slot] is 0 or EPOLL* bits. *ret_n is 0 after the timeout (-1: none). */
int watch_wait(struct watch *watch, int timeout_msec, uint32_t ret_revents[WATCH_SLOTS], int *ret_n,
               struct err *err) MUST_CHECK;

#endif
