/*
 * Many descriptors served in one turn of an sd-event loop, which itself serves one a turn: with
 * dozens of engines that write at once its bookkeeping would cost more than their frames.
 */
#ifndef WIRE_HUB_H
#define WIRE_HUB_H

#include <systemd/sd-event.h>

#include "base/err.h"

struct wire_hub;

/* A descriptor in a hub; owned by whoever is served, which removes it before it goes. */
struct wire_hub_member {
        int fd;
        uint32_t events; /* EPOLL* bits that are waited for; 0: not in the hub */
        void (*ready)(void *user, uint32_t revents);
        void *user;
};

/* Called when all that was there has been served or a while has passed, some times a turn. */
typedef void wire_hub_served_fn(void *user);

/* On this loop, which outlives it; served(user) may be called until it is freed. */
int wire_hub_new(sd_event *event, wire_hub_served_fn *served, void *user, struct wire_hub **ret_hub,
                 struct err *err) MUST_CHECK;

/* Its members are gone before. NULL is allowed. */
void wire_hub_free(struct wire_hub *hub);

/* Waits for events (never 0) from now on; costs a system call only when they differ. */
int wire_hub_watch(struct wire_hub *hub, struct wire_hub_member *member, uint32_t events,
                   struct err *err) MUST_CHECK;

/* Before the descriptor is closed; ready() is not called any more. Again is allowed. */
void wire_hub_remove(struct wire_hub *hub, struct wire_hub_member *member);

#endif
