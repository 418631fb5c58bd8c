#include "wire/hub.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/busy-wait.h"
#include "base/clock.h"
#include "base/fd.h"

#define BATCH     64
#define TURN_USEC 2000 /* then the loop's other sources have their turn */

struct wire_hub {
        int epoll;
        sd_event_source *source;
        wire_hub_served_fn *served;
        void *user;
        struct epoll_event batch[BATCH]; /* being served: from next to n */
        int next;
        int n;
        struct busy_wait more;
};

/* Whoever is served may remove itself and others. */
static void serve_batch(struct wire_hub *hub)
{
        while (hub->next < hub->n) {
                const struct epoll_event *event = &hub->batch[hub->next++];
                struct wire_hub_member *member = event->data.ptr;

                if (member != NULL)
                        member->ready(member->user, event->events);
        }
}

/* All that is there, or as much as goes into the turn; false: there was nothing. */
static bool serve(struct wire_hub *hub, uint64_t end)
{
        bool any = false;

        do {
                hub->next = 0;
                hub->n = epoll_wait(hub->epoll, hub->batch, BATCH, 0);
                if (hub->n <= 0)
                        break;
                any = true;
                serve_batch(hub);
        } while (clock_usec() < end);
        hub->n = 0;
        if (any)
                hub->served(hub->user);
        return any;
}

/*
 * Whoever was served may have more to say before this process would be asleep and awake again. The
 * loop's other sources wait no longer for that: what is waited for is any of them.
 */
static int on_ready(sd_event_source *source, int fd, uint32_t revents, void *user)
{
        struct wire_hub *hub = user;
        const int loop = sd_event_get_fd(sd_event_source_get_event(source));
        const uint64_t end = clock_usec() + TURN_USEC;

        (void)fd;
        (void)revents;
        while (serve(hub, end) && clock_usec() < end && busy_wait_event(&hub->more, loop))
                ;
        return 0;
}

int wire_hub_new(sd_event *event, wire_hub_served_fn *served, void *user, struct wire_hub **ret_hub,
                 struct err *err)
{
        struct wire_hub *hub = calloc(1, sizeof(*hub));
        int rc;

        if (hub == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        hub->served = served;
        hub->user = user;
        hub->epoll = epoll_create1(EPOLL_CLOEXEC);
        rc = hub->epoll < 0
                 ? -errno
                 : sd_event_add_io(event, &hub->source, hub->epoll, EPOLLIN, on_ready, hub);
        if (rc < 0) {
                wire_hub_free(hub);
                return err_set_errno(err, -rc, "watch many links");
        }
        *ret_hub = hub;
        return 0;
}

void wire_hub_free(struct wire_hub *hub)
{
        if (hub == NULL)
                return;
        sd_event_source_disable_unref(hub->source);
        fd_close(&hub->epoll);
        free(hub);
}

int wire_hub_watch(struct wire_hub *hub, struct wire_hub_member *member, uint32_t events,
                   struct err *err)
{
        struct epoll_event event = {.events = events, .data.ptr = member};

        if (member->events == events)
                return 0;
        if (epoll_ctl(hub->epoll, member->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, member->fd,
                      &event) < 0)
                return err_set_errno(err, errno, "watch link");
        member->events = events;
        return 0;
}

void wire_hub_remove(struct wire_hub *hub, struct wire_hub_member *member)
{
        if (member->events == 0)
                return;
        (void)epoll_ctl(hub->epoll, EPOLL_CTL_DEL, member->fd, NULL);
        member->events = 0;
        for (int i = hub->next; i < hub->n; i++)
                if (hub->batch[i].data.ptr == member)
                        hub->batch[i].data.ptr = NULL;
}
