#include "engine/watch.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/fd.h"

int watch_open(struct watch *watch, struct err *err)
{
        for (size_t i = 0; i < WATCH_SLOTS; i++)
                watch->slots[i] = (struct watch_slot){.fd = -1};
        watch->epoll = epoll_create1(EPOLL_CLOEXEC);
        return watch->epoll < 0 ? err_set_errno(err, errno, "make the watch") : 0;
}

void watch_close(struct watch *watch)
{
        fd_close(&watch->epoll);
}

static int change(const struct watch *watch, int operation, unsigned slot,
                  const struct watch_slot *wanted)
{
        struct epoll_event event = {.events = wanted->events, .data.u32 = slot};

        return epoll_ctl(watch->epoll, operation, wanted->fd, &event);
}

int watch_set(struct watch *watch, unsigned slot, const struct watch_slot *wanted, struct err *err)
{
        struct watch_slot *has = &watch->slots[slot];
        bool same = has->fd == wanted->fd && has->generation == wanted->generation;

        if (same && has->events == wanted->events)
                return 0;
        /* A descriptor that was closed has left the epoll set by itself. */
        if (wanted->fd >= 0 &&
            change(watch, same ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, slot, wanted) < 0)
                return err_set_errno(err, errno, "watch a channel");
        *has = *wanted;
        return 0;
}

int watch_wait(struct watch *watch, int timeout_msec, uint32_t ret_revents[WATCH_SLOTS], int *ret_n,
               struct err *err)
{
        struct epoll_event events[WATCH_SLOTS];
        int n = epoll_wait(watch->epoll, events, WATCH_SLOTS, timeout_msec);

        if (n < 0 && errno != EINTR)
                return err_set_errno(err, errno, "wait for a channel");
        memset(ret_revents, 0, WATCH_SLOTS * sizeof(*ret_revents));
        for (int i = 0; i < n; i++)
                ret_revents[events[i].data.u32] = events[i].events;
        /* A signal is as good as a turn with nothing to do, but it is no timeout. */
        *ret_n = n < 0 ? WATCH_SLOTS : n;
        return 0;
}
