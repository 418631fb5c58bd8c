/*
 * A process locks itself up: descriptors, limits, no_new_privs, not dumpable, Landlock, seccomp.
 * What the kernel or a container does not offer is reported, never skipped in silence. Needs no
 * privileges; there is no way back.
 */
#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "base/err.h"

/* The sanitizers need calls and memory of their own. */
#define SANDBOX_SANITIZED 0
#if defined(__SANITIZE_ADDRESS__)
#undef SANDBOX_SANITIZED
#define SANDBOX_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#undef SANDBOX_SANITIZED
#define SANDBOX_SANITIZED 1
#endif
#endif

enum sandbox_step {
        SANDBOX_FDS = 1 << 0,        /* every descriptor not listed is closed */
        SANDBOX_LIMITS = 1 << 1,     /* NPROC 0, CORE 0, FSIZE 0, NOFILE small */
        SANDBOX_PRIVILEGES = 1 << 2, /* no_new_privs */
        SANDBOX_DUMPABLE = 1 << 3,   /* neither ptrace nor core dumps; an exec would reset it */
        SANDBOX_LANDLOCK = 1 << 4,   /* no file system */
        SANDBOX_NET = 1 << 5,        /* Landlock: no TCP (kernel 6.7) */
        SANDBOX_SCOPE = 1 << 6,      /* Landlock: no signals or abstract sockets out (6.12) */
        SANDBOX_SECCOMP = 1 << 7,    /* system calls by list, the process dies by any other */
};
#define SANDBOX_STEPS 8

/* An allowed system call: any arguments, or only where argument (0 to 5) & mask == value. */
struct sandbox_call {
        int number; /* __NR_* */
        bool any;
        unsigned argument;
        uint64_t mask;
        uint64_t value;
};

#define SANDBOX_ALLOW(name)                                                                        \
        {                                                                                          \
                .number = __NR_##name, .any = true                                                 \
        }
#define SANDBOX_ALLOW_IF(name, arg, bits, equal)                                                   \
        {                                                                                          \
                .number = __NR_##name, .argument = (arg), .mask = (bits), .value = (equal)         \
        }

struct sandbox_policy {
        const struct sandbox_call *calls;
        size_t n_calls;
        const int *keep; /* descriptors that stay open; 0, 1 and 2 always do */
        size_t n_keep;
        unsigned n_files; /* RLIMIT_NOFILE */
        int other_errno;  /* 0: other calls kill the process; else they fail with this errno */
        /*
         * SANDBOX_FDS, SANDBOX_LIMITS: for a process that needs neither; SANDBOX_LANDLOCK: for one
         * that sandbox_restrict_files() confined.
         */
        unsigned skip;
        const struct sandbox_filter *filter; /* made of these calls before; NULL: made now */
};

/*
 * The filter of a policy's calls, made once for many processes that a fork makes alike. It is the
 * caller's; ERR_UNSUPPORTED where the kernel knows no filters.
 */
struct sandbox_filter;
int sandbox_filter_new(const struct sandbox_policy *policy, struct sandbox_filter **ret_filter,
                       struct err *err) MUST_CHECK;
void sandbox_filter_free(struct sandbox_filter *filter);

/*
 * Takes every step. *ret_degraded has a bit of enum sandbox_step for each that the kernel does not
 * offer; the caller logs them (sandbox_describe()) and decides whether to go on.
 */
int sandbox_enter(const struct sandbox_policy *policy, unsigned *ret_degraded,
                  struct err *err) MUST_CHECK;

/* What stays of the file system: everything beneath the open directory dir, or removing there. */
struct sandbox_place {
        int dir;
        bool removal_only;
};

/*
 * Landlock alone, for a process that needs more than a worker: of the file system only these
 * places, and no new TCP connections. Descriptors that are open stay of use. *ret_degraded as
 * above. The process has no_new_privs already.
 */
int sandbox_restrict_files(const struct sandbox_place *places, size_t n, unsigned *ret_degraded,
                           struct err *err) MUST_CHECK;

/* "landlock, tcp" for these bits, into size bytes; returns ret_text. */
char *sandbox_describe(unsigned steps, char *ret_text, size_t size);

#endif
