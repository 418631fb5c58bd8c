#include "engine/confine.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/sandbox.h"

#define N_FILES 16 /* three standard, three ours, the data channel and a descriptor in flight */

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

int confine_engine(int watch, char *ret_words, size_t size, struct err *err)
{
        const int keep[] = {CONFINE_CORE_FD, CONFINE_CONTROL_FD, watch};
        const uint64_t self = (uint64_t)getpid();
        const struct sandbox_call calls[] = {
            /* The channels. */
            SANDBOX_ALLOW(epoll_wait),
            SANDBOX_ALLOW(epoll_ctl),
            SANDBOX_ALLOW(recvfrom),
            SANDBOX_ALLOW(sendto),
            SANDBOX_ALLOW(recvmsg),
            SANDBOX_ALLOW(sendmsg),
            SANDBOX_ALLOW(getsockopt),
            SANDBOX_ALLOW(close),
            /* Words for the operator. */
            SANDBOX_ALLOW(write),
            /* Memory, never executable. */
            SANDBOX_ALLOW(brk),
            SANDBOX_ALLOW_IF(mmap, 2, PROT_EXEC, 0),
            SANDBOX_ALLOW(munmap),
            SANDBOX_ALLOW(mremap),
            SANDBOX_ALLOW(madvise),
            /* Entropy and time. */
            SANDBOX_ALLOW(getrandom),
            SANDBOX_ALLOW(clock_gettime),
            SANDBOX_ALLOW(gettimeofday),
            SANDBOX_ALLOW(time),
            /* OpenSSL's locks, and its check whether it was forked. */
            SANDBOX_ALLOW(futex),
            SANDBOX_ALLOW(getpid),
            /* The end, abort(3) included. */
            SANDBOX_ALLOW(exit_group),
            SANDBOX_ALLOW(rt_sigprocmask),
            SANDBOX_ALLOW(rt_sigreturn),
            SANDBOX_ALLOW(restart_syscall),
            SANDBOX_ALLOW(gettid),
            SANDBOX_ALLOW_IF(tgkill, 0, ~0ULL, self),
#ifdef SANITIZED
            SANDBOX_ALLOW(sigaltstack),
            SANDBOX_ALLOW(sched_yield),
            SANDBOX_ALLOW_IF(mprotect, 2, PROT_EXEC, 0),
#endif
        };
        const struct sandbox_policy policy = {.calls = calls,
                                              .n_calls = ARRAY_SIZE(calls),
                                              .keep = keep,
                                              .n_keep = ARRAY_SIZE(keep),
                                              .n_files = N_FILES};
        unsigned degraded = 0;
        int rc = sandbox_enter(&policy, &degraded, err);

        if (rc == 0)
                (void)sandbox_describe(degraded, ret_words, size);
        return rc;
}
