#include "engine/confine.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/sandbox.h"

#define N_FILES   16 /* three standard, three ours, the data channel and a descriptor in flight */
#define FIRST_PID 1  /* of an engine in a namespace of its own */

static const struct sandbox_call calls[] = {
    /* The channels. */
    SANDBOX_ALLOW(epoll_wait),
    SANDBOX_ALLOW(epoll_ctl),
    SANDBOX_ALLOW(recvfrom),
    SANDBOX_ALLOW(sendto),
    SANDBOX_ALLOW(recvmsg),
    SANDBOX_ALLOW(sendmsg),
    SANDBOX_ALLOW(getsockopt),
    SANDBOX_ALLOW(close),
    /* A parked engine gives QEMU's channels back. */
    SANDBOX_ALLOW_IF(fcntl, 1, ~0ULL, F_DUPFD_CLOEXEC),
    /* Words for the operator. */
    SANDBOX_ALLOW(write),
    /* Memory, never executable. */
    SANDBOX_ALLOW(brk),
    SANDBOX_ALLOW_IF(mmap, 2, PROT_EXEC, 0),
    SANDBOX_ALLOW(munmap),
    SANDBOX_ALLOW(mremap),
    SANDBOX_ALLOW(madvise),
    SANDBOX_ALLOW(mincore),
    /* Entropy and time. */
    SANDBOX_ALLOW(getrandom),
    SANDBOX_ALLOW(clock_gettime),
    SANDBOX_ALLOW(gettimeofday),
    SANDBOX_ALLOW(time),
    /* OpenSSL's locks, and its check whether it was forked. */
    SANDBOX_ALLOW(futex),
    SANDBOX_ALLOW(getpid),
    SANDBOX_ALLOW(sched_yield),
    /* The end, abort(3) included. */
    SANDBOX_ALLOW(exit_group),
    SANDBOX_ALLOW(rt_sigprocmask),
    SANDBOX_ALLOW(rt_sigreturn),
    SANDBOX_ALLOW(restart_syscall),
    SANDBOX_ALLOW(gettid),
#if CONFINE_SANITIZED
    SANDBOX_ALLOW(sigaltstack),
    SANDBOX_ALLOW_IF(mprotect, 2, PROT_EXEC, 0),
#endif
};

#define N_CALLS (ARRAY_SIZE(calls) + 1)

static struct sandbox_filter *prepared; /* for FIRST_PID */

/* The process may signal itself, for abort(3), and nobody else. */
static struct sandbox_policy policy_for(pid_t self, struct sandbox_call space[N_CALLS])
{
        const struct sandbox_call own = SANDBOX_ALLOW_IF(tgkill, 0, ~0ULL, (uint64_t)self);

        memcpy(space, calls, sizeof(calls));
        space[N_CALLS - 1] = own;
        return (struct sandbox_policy){.calls = space, .n_calls = N_CALLS, .n_files = N_FILES};
}

int confine_prepare(struct err *err)
{
        struct sandbox_call space[N_CALLS];
        const struct sandbox_policy policy = policy_for(FIRST_PID, space);

        return sandbox_filter_new(&policy, &prepared, err);
}

int confine_engine(int watch, char *ret_words, size_t size, struct err *err)
{
        const int keep[] = {CONFINE_CORE_FD, CONFINE_CONTROL_FD, watch};
        struct sandbox_call space[N_CALLS];
        struct sandbox_policy policy = policy_for(getpid(), space);
        unsigned degraded = 0;
        int rc;

        policy.keep = keep;
        policy.n_keep = ARRAY_SIZE(keep);
        policy.filter = getpid() == FIRST_PID ? prepared : NULL;
        rc = sandbox_enter(&policy, &degraded, err);
        if (rc == 0)
                (void)sandbox_describe(degraded, ret_words, size);
        return rc;
}
