#include "hostd/confine.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sandbox.h"

int confine_relay(char *ret_words, size_t size, struct err *err)
{
        const uint64_t self = (uint64_t)getpid();
        const struct sandbox_call calls[] = {
            /* Connections: unix sockets only. */
            SANDBOX_ALLOW_IF(socket, 0, ~0ULL, AF_UNIX),
            SANDBOX_ALLOW(connect),
            SANDBOX_ALLOW(accept4),
            SANDBOX_ALLOW(shutdown),
            SANDBOX_ALLOW(getsockopt),
            SANDBOX_ALLOW(setsockopt),
            SANDBOX_ALLOW(recvfrom),
            SANDBOX_ALLOW(recvmsg),
            SANDBOX_ALLOW(sendto),
            SANDBOX_ALLOW(sendmsg),
            SANDBOX_ALLOW(read),
            SANDBOX_ALLOW(close),
            SANDBOX_ALLOW(fcntl),
            /* The loop. */
            SANDBOX_ALLOW(epoll_wait),
            SANDBOX_ALLOW(epoll_pwait),
            SANDBOX_ALLOW(epoll_ctl),
            SANDBOX_ALLOW(poll),
            SANDBOX_ALLOW(ppoll),
            SANDBOX_ALLOW(timerfd_create),
            SANDBOX_ALLOW(timerfd_settime),
            SANDBOX_ALLOW(signalfd4),
            SANDBOX_ALLOW(clock_gettime),
            SANDBOX_ALLOW(getrandom),
            /* Words for the operator. */
            SANDBOX_ALLOW(write),
            SANDBOX_ALLOW(writev),
            /* Memory, never executable. */
            SANDBOX_ALLOW(brk),
            SANDBOX_ALLOW_IF(mmap, 2, PROT_EXEC, 0),
            SANDBOX_ALLOW_IF(mprotect, 2, PROT_EXEC, 0),
            SANDBOX_ALLOW(munmap),
            SANDBOX_ALLOW(mremap),
            SANDBOX_ALLOW(madvise),
            SANDBOX_ALLOW(futex),
            /* The end, abort(3) included. */
            SANDBOX_ALLOW(exit_group),
            SANDBOX_ALLOW(rt_sigaction),
            SANDBOX_ALLOW(rt_sigprocmask),
            SANDBOX_ALLOW(rt_sigreturn),
            SANDBOX_ALLOW(sigaltstack),
            SANDBOX_ALLOW(restart_syscall),
            SANDBOX_ALLOW(sched_yield),
            SANDBOX_ALLOW(getpid),
            SANDBOX_ALLOW(gettid),
            SANDBOX_ALLOW_IF(tgkill, 0, ~0ULL, self),
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
