/*
 * Groups of system calls that the lists of several programs have in common (base/sandbox.h). The
 * engine's list is its own and shorter.
 */
#ifndef BASE_SANDBOX_CALLS_H
#define BASE_SANDBOX_CALLS_H

#include <sys/mman.h>

#include "base/sandbox.h"

/* Streams that are open, the log among them, and waiting for them. */
#define SANDBOX_CALLS_STREAMS                                                                      \
        SANDBOX_ALLOW(read), SANDBOX_ALLOW(write), SANDBOX_ALLOW(writev), SANDBOX_ALLOW(recvfrom), \
            SANDBOX_ALLOW(recvmsg), SANDBOX_ALLOW(sendto), SANDBOX_ALLOW(sendmsg),                 \
            SANDBOX_ALLOW(shutdown), SANDBOX_ALLOW(poll), SANDBOX_ALLOW(ppoll),                    \
            SANDBOX_ALLOW(close), SANDBOX_ALLOW(fcntl)

/* Memory, never executable. */
#define SANDBOX_CALLS_MEMORY                                                                       \
        SANDBOX_ALLOW(brk), SANDBOX_ALLOW_IF(mmap, 2, PROT_EXEC, 0),                               \
            SANDBOX_ALLOW_IF(mprotect, 2, PROT_EXEC, 0), SANDBOX_ALLOW(munmap),                    \
            SANDBOX_ALLOW(mremap), SANDBOX_ALLOW(madvise), SANDBOX_ALLOW(futex)

/* The arena of base/secret.h. */
#define SANDBOX_CALLS_SECRETS                                                                      \
        SANDBOX_ALLOW(mlock), SANDBOX_ALLOW(munlock), SANDBOX_ALLOW(memfd_secret),                 \
            SANDBOX_ALLOW(ftruncate)

/* Time, entropy. */
#define SANDBOX_CALLS_TIME SANDBOX_ALLOW(clock_gettime), SANDBOX_ALLOW(getrandom)

/* The end, abort(3) included; self is getpid(). */
#define SANDBOX_CALLS_END(self)                                                                    \
        SANDBOX_ALLOW(exit_group), SANDBOX_ALLOW(rt_sigaction), SANDBOX_ALLOW(rt_sigprocmask),     \
            SANDBOX_ALLOW(rt_sigreturn), SANDBOX_ALLOW(sigaltstack),                               \
            SANDBOX_ALLOW(restart_syscall), SANDBOX_ALLOW(sched_yield), SANDBOX_ALLOW(getpid),     \
            SANDBOX_ALLOW(gettid), SANDBOX_ALLOW_IF(tgkill, 0, ~0ULL, (uint64_t)(self))

#endif
