#include "hostd/confine.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sandbox-calls.h"

int confine_relay(char *ret_words, size_t size, struct err *err)
{
        const struct sandbox_call calls[] = {
            /* Connections: unix sockets only. */
            SANDBOX_ALLOW_IF(socket, 0, ~0ULL, AF_UNIX),
            SANDBOX_ALLOW(connect),
            SANDBOX_ALLOW(accept4),
            SANDBOX_ALLOW(getsockopt),
            SANDBOX_ALLOW(setsockopt),
            SANDBOX_CALLS_STREAMS,
            /* The loop. */
            SANDBOX_ALLOW(epoll_wait),
            SANDBOX_ALLOW(epoll_pwait),
            SANDBOX_ALLOW(epoll_ctl),
            SANDBOX_ALLOW(timerfd_create),
            SANDBOX_ALLOW(timerfd_settime),
            SANDBOX_ALLOW(signalfd4),
            SANDBOX_CALLS_TIME,
            SANDBOX_CALLS_MEMORY,
            SANDBOX_CALLS_END(getpid()),
        };
        /* Its log may be a file, and every client is a descriptor: no limits, nothing closed. */
        const struct sandbox_policy policy = {.calls = calls,
                                              .n_calls = ARRAY_SIZE(calls),
                                              .other_errno = EPERM,
                                              .skip = SANDBOX_FDS | SANDBOX_LIMITS};
        unsigned degraded;

        if (sandbox_enter(&policy, &degraded, err) != 0)
                return err->code;
        (void)sandbox_describe(degraded, ret_words, size);
        return 0;
}
