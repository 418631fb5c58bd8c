/*
 * A link in an sd-event loop: frames arrive as calls, queued output drains by itself.
 */
#ifndef WIRE_EVENT_H
#define WIRE_EVENT_H

#include <systemd/sd-event.h>

#include "wire/hub.h"
#include "wire/link.h"

struct wire_event;

struct wire_event_ops {
        /*
         * A frame came in. Descriptors in it that are not taken (set to -1) are closed afterwards.
         * An error ends the link: closed() follows.
         */
        int (*frame)(void *user, struct wire_frame *frame, struct err *err);
        /* The peer closed or broke the protocol (err says which). The owner frees it now or later.
         */
        void (*closed)(void *user, const struct err *err);
};

/*
 * Either of the ops may free the wire_event: it is released when they have returned.
 */
void wire_event_free(struct wire_event *we);

/* Takes fd (also on failure), makes it non-blocking and watches it. */
int wire_event_new(sd_event *event, int fd, const struct wire_protocol *protocol,
                   enum wire_role self, const struct wire_event_ops *ops, void *user,
                   struct wire_event **ret, struct err *err) MUST_CHECK;

/* The same in a hub, which outlives it. */
int wire_event_new_in(struct wire_hub *hub, int fd, const struct wire_protocol *protocol,
                      enum wire_role self, const struct wire_event_ops *ops, void *user,
                      struct wire_event **ret, struct err *err) MUST_CHECK;

/* The link's descriptor; it stays the link's. */
int wire_event_fd(const struct wire_event *we);

/* As wire_link_resume() and wire_link_resync(). */
void wire_event_resume(struct wire_event *we);
void wire_event_resync(struct wire_event *we);

/* A link that was used outside of the loop until now; takes it, also on failure. */
int wire_event_take(sd_event *event, struct wire_link *link, const struct wire_event_ops *ops,
                    void *user, struct wire_event **ret, struct err *err) MUST_CHECK;

/* Waits until all that was sent has gone out, for a peer that always reads. */
int wire_event_drain(struct wire_event *we, struct err *err) MUST_CHECK;

/* The peer is of no use any more: closed() follows from the loop, not from here. */
void wire_event_abort(struct wire_event *we);

/* wire_link_send(); what does not go out at once is sent as the descriptor takes it. */
int wire_event_send(struct wire_event *we, uint16_t code, uint32_t id, uint16_t flags,
                    const void *message, const int *fds, struct err *err) MUST_CHECK;
int wire_event_forward(struct wire_event *we, const struct wire_frame *frame,
                       struct err *err) MUST_CHECK;

#endif
