#include "wire/event.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define DRAIN_MSEC 10000

struct wire_event {
        struct wire_link *link;
        sd_event_source *source; /* or a hub */
        struct wire_hub *hub;
        struct wire_hub_member member;
        const struct wire_event_ops *ops;
        void *user;
        bool closed;
        bool busy;       /* one of ops is running */
        uint32_t events; /* in the loop; 0: in a hub */
        bool doomed;     /* freed by it: to be released afterwards */
};

static int watch(struct wire_event *we, struct err *err)
{
        uint32_t events = EPOLLIN;
        int rc;

        if (we->closed)
                return 0;
        if (wire_link_has_output(we->link))
                events |= EPOLLOUT;
        if (we->hub != NULL)
                return wire_hub_watch(we->hub, &we->member, events, err);
        /* A loop that has ended would refuse even what it does already. */
        if (we->events == events)
                return 0;
        rc = sd_event_source_set_io_events(we->source, events);
        if (rc < 0)
                return err_set_errno(err, -rc, "watch link");
        we->events = events;
        return 0;
}

static void unwatch(struct wire_event *we)
{
        if (we->hub != NULL)
                wire_hub_remove(we->hub, &we->member);
        else
                (void)sd_event_source_set_enabled(we->source, SD_EVENT_OFF);
}

static void close_link(struct wire_event *we, const struct err *err)
{
        if (we->closed)
                return;
        we->closed = true;
        unwatch(we);
        we->ops->closed(we->user, err);
}

/* One frame a turn: links keep nothing back that the descriptor does not tell of, and the other
 * sources of the loop have their turn. */
static int handle_frame(struct wire_event *we, struct err *err)
{
        struct wire_frame frame;
        int rc = wire_link_receive(we->link, &frame, err);

        if (rc != 0)
                return rc == WIRE_AGAIN ? 0 : rc;
        rc = we->ops->frame(we->user, &frame, err);
        wire_frame_close_fds(&frame);
        return rc;
}

static void release(struct wire_event *we)
{
        unwatch(we);
        sd_event_source_disable_unref(we->source);
        wire_link_free(we->link);
        free(we);
}

static void on_ready(void *user, uint32_t revents)
{
        struct wire_event *we = user;
        struct err err = {0};
        int rc = 0;

        we->busy = true;
        if ((revents & EPOLLOUT) != 0)
                rc = wire_link_flush(we->link, &err);
        if (rc == 0 && (revents & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
                rc = handle_frame(we, &err);
        /* The next link's frame comes into the same memory, which is in the cache. */
        if (we->hub != NULL && !we->doomed)
                wire_link_rest(we->link);
        if (rc == 0 && !we->doomed)
                rc = watch(we, &err);
        if (rc != 0)
                close_link(we, &err);
        we->busy = false;
        if (we->doomed)
                release(we);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *user)
{
        (void)source;
        (void)fd;
        on_ready(user, revents);
        return 0;
}

/* Not watched yet. Takes the link, also on failure. */
static int make_of(struct wire_link *link, const struct wire_event_ops *ops, void *user,
                   struct wire_event **ret, struct err *err)
{
        struct wire_link AUTO_LINK *owned = link;
        struct wire_event *we;
        int rc = fd_set_nonblocking(wire_link_fd(link), err);

        if (rc != 0)
                return rc;
        we = calloc(1, sizeof(*we));
        if (we == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        we->ops = ops;
        we->user = user;
        we->link = TAKE(owned);
        *ret = we;
        return 0;
}

static int make(int fd, const struct wire_protocol *protocol, enum wire_role self,
                const struct wire_event_ops *ops, void *user, struct wire_event **ret,
                struct err *err)
{
        struct wire_link *link;
        int rc = wire_link_new(fd, protocol, self, &link, err);

        return rc != 0 ? rc : make_of(link, ops, user, ret, err);
}

int wire_event_take(sd_event *event, struct wire_link *link, const struct wire_event_ops *ops,
                    void *user, struct wire_event **ret, struct err *err)
{
        struct wire_event *we = NULL;
        int rc = make_of(link, ops, user, &we, err);

        if (rc != 0)
                return rc;
        rc = sd_event_add_io(event, &we->source, wire_link_fd(we->link), EPOLLIN, on_io, we);
        if (rc < 0) {
                wire_event_free(we);
                return err_set_errno(err, -rc, "watch link");
        }
        we->events = EPOLLIN;
        *ret = we;
        return 0;
}

int wire_event_new(sd_event *event, int fd, const struct wire_protocol *protocol,
                   enum wire_role self, const struct wire_event_ops *ops, void *user,
                   struct wire_event **ret, struct err *err)
{
        struct wire_link *link;
        int rc = wire_link_new(fd, protocol, self, &link, err);

        return rc != 0 ? rc : wire_event_take(event, link, ops, user, ret, err);
}

int wire_event_new_in(struct wire_hub *hub, int fd, const struct wire_protocol *protocol,
                      enum wire_role self, const struct wire_event_ops *ops, void *user,
                      struct wire_event **ret, struct err *err)
{
        struct wire_event *we = NULL;
        int rc = make(fd, protocol, self, ops, user, &we, err);

        if (rc != 0)
                return rc;
        we->hub = hub;
        we->member =
            (struct wire_hub_member){.fd = wire_link_fd(we->link), .ready = on_ready, .user = we};
        rc = watch(we, err);
        if (rc != 0) {
                wire_event_free(we);
                return rc;
        }
        *ret = we;
        return 0;
}

void wire_event_free(struct wire_event *we)
{
        if (we == NULL)
                return;
        we->closed = true;
        if (we->busy) {
                we->doomed = true;
                unwatch(we);
                return;
        }
        release(we);
}

int wire_event_send(struct wire_event *we, uint16_t code, uint32_t id, uint16_t flags,
                    const void *message, const int *fds, struct err *err)
{
        int rc = wire_link_send(we->link, code, id, flags, message, fds, err);

        return rc != 0 ? rc : watch(we, err);
}

int wire_event_forward(struct wire_event *we, const struct wire_frame *frame, struct err *err)
{
        int rc = wire_link_forward(we->link, frame, err);

        return rc != 0 ? rc : watch(we, err);
}

int wire_event_fd(const struct wire_event *we)
{
        return wire_link_fd(we->link);
}

void wire_event_resume(struct wire_event *we)
{
        wire_link_resume(we->link);
}

void wire_event_resync(struct wire_event *we)
{
        wire_link_resync(we->link);
}

int wire_event_drain(struct wire_event *we, struct err *err)
{
        struct pollfd fd = {.fd = wire_link_fd(we->link), .events = POLLOUT};
        int rc = 0;

        while (rc == 0 && wire_link_has_output(we->link)) {
                int n = poll(&fd, 1, DRAIN_MSEC);

                if (n == 0)
                        return err_set(err, ERR_TIMEOUT, "the peer does not read");
                if (n < 0 && errno != EINTR)
                        return err_set_errno(err, errno, "wait for the peer");
                rc = wire_link_flush(we->link, err);
        }
        return rc != 0 ? rc : watch(we, err);
}

void wire_event_abort(struct wire_event *we)
{
        (void)shutdown(wire_link_fd(we->link), SHUT_RDWR);
}
