#include "base/sandbox.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

#if SANDBOX_SANITIZED
#include <sanitizer/lsan_interface.h>

/*
 * At exit LeakSanitizer looks for leaks from a thread that traces the process. A sandbox denies
 * just that, and each process in one would end with its complaint and a false status.
 */
static bool is_confined;

int __lsan_is_turned_off(void)
{
        return is_confined;
}

static void note_confinement(void)
{
        is_confined = true;
}
#else
static void note_confinement(void)
{
}
#endif

static const char *const step_names[SANDBOX_STEPS] = {"descriptors",   "limits",   "no_new_privs",
                                                      "not dumpable",  "landlock", "landlock: tcp",
                                                      "landlock: ipc", "seccomp"};

/* The kernel's struct landlock_ruleset_attr as of ABI 6; Debian 12's header ends at ABI 2. */
struct ruleset {
        uint64_t fs;
        uint64_t net;
        uint64_t scoped;
};

/* What each Landlock ABI can deny: bits of the first, second and third field above. */
static const struct landlock_abi {
        int abi;
        struct ruleset denies;
        size_t size; /* of the structure that this ABI knows */
} landlock_abis[] = {
    {6, {0xffff, 0x3, 0x3}, 24}, {5, {0xffff, 0x3, 0}, 16}, {4, {0x7fff, 0x3, 0}, 16},
    {3, {0x7fff, 0, 0}, 8},      {2, {0x3fff, 0, 0}, 8},    {1, {0x1fff, 0, 0}, 8},
};

static int step_fds(const struct sandbox_policy *policy, struct err *err)
{
        return fd_close_all_but(3, policy->keep, policy->n_keep, err);
}

static int step_limits(const struct sandbox_policy *policy, struct err *err)
{
        const struct {
                __rlimit_resource_t resource;
                rlim_t value;
        } limits[] = {
            {RLIMIT_NPROC, 0},
            {RLIMIT_CORE, 0},
            {RLIMIT_FSIZE, 0},
            {RLIMIT_NOFILE, policy->n_files},
        };

        for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
                struct rlimit limit = {limits[i].value, limits[i].value};

                if (setrlimit(limits[i].resource, &limit) < 0)
                        return err_set_errno(err, errno, "set resource limit");
        }
        return 0;
}

static int step_privileges(struct err *err)
{
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return err_set_errno(err, errno, "set no_new_privs");
        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
                return err_set_errno(err, errno, "make not dumpable");
        return 0;
}

/* The newest rules that this kernel knows; NULL when it has no Landlock. */
static const struct landlock_abi *find_landlock(void)
{
        const long abi =
            syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
        size_t i = 0;

        if (abi < 1)
                return NULL;
        while (landlock_abis[i].abi > abi)
                i++;
        return &landlock_abis[i];
}

/* Everything that is handled is denied, but for the places. */
static int enter_landlock(const struct ruleset *denies, size_t size,
                          const struct sandbox_place *places, size_t n, struct err *err)
{
        int AUTO_FD fd = (int)syscall(SYS_landlock_create_ruleset, denies, size, 0);

        if (fd < 0)
                return err_set_errno(err, errno, "make Landlock rules");
        for (size_t i = 0; i < n; i++) {
                const struct landlock_path_beneath_attr beneath = {
                    .parent_fd = places[i].dir,
                    .allowed_access =
                        places[i].removal_only ? LANDLOCK_ACCESS_FS_REMOVE_FILE : denies->fs,
                };

                if (syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0)
                        return err_set_errno(err, errno, "allow a directory");
        }
        return syscall(SYS_landlock_restrict_self, fd, 0) < 0
                   ? err_set_errno(err, errno, "enter Landlock")
                   : 0;
}

static int step_landlock(unsigned *degraded, struct err *err)
{
        const struct landlock_abi *abi = find_landlock();

        if (abi == NULL) {
                *degraded |= SANDBOX_LANDLOCK | SANDBOX_NET | SANDBOX_SCOPE;
                return 0;
        }
        *degraded |= abi->denies.net == 0 ? (unsigned)SANDBOX_NET : 0;
        *degraded |= abi->denies.scoped == 0 ? (unsigned)SANDBOX_SCOPE : 0;
        return enter_landlock(&abi->denies, abi->size, NULL, 0, err);
}

int sandbox_restrict_files(const struct sandbox_place *places, size_t n, unsigned *ret_degraded,
                           struct err *err)
{
        const struct landlock_abi *abi = find_landlock();
        struct ruleset denies;
        int rc;

        if (abi == NULL) {
                *ret_degraded = SANDBOX_LANDLOCK;
                return 0;
        }
        denies = abi->denies;
        denies.scoped = 0; /* its children are told to end by signals */
        rc = enter_landlock(&denies, abi->size, places, n, err);
        if (rc == 0)
                *ret_degraded = 0;
        return rc;
}

static int add_call(scmp_filter_ctx filter, const struct sandbox_call *call)
{
        const struct scmp_arg_cmp compare = {.arg = call->argument,
                                             .op = SCMP_CMP_MASKED_EQ,
                                             .datum_a = call->mask,
                                             .datum_b = call->value};

        return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call->number, call->any ? 0 : 1,
                                      &compare);
}

static int build_filter(const struct sandbox_policy *policy, scmp_filter_ctx *ret_filter,
                        struct err *err)
{
        const uint32_t other = policy->other_errno == 0
                                   ? SCMP_ACT_KILL_PROCESS
                                   : SCMP_ACT_ERRNO((uint32_t)policy->other_errno);
        scmp_filter_ctx filter = seccomp_init(other);
        int rc;

        if (filter == NULL)
                return err_set(err, ERR_NO_MEMORY, "make the system call filter");
        rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
        for (size_t i = 0; rc == 0 && i < policy->n_calls; i++)
                rc = add_call(filter, &policy->calls[i]);
        if (rc != 0) {
                seccomp_release(filter);
                return err_set_errno(err, -rc, "build the system call filter");
        }
        *ret_filter = filter;
        return 0;
}

/* The kernel's form of a filter. */
struct sandbox_filter {
        unsigned short n;
        struct sock_filter code[];
};

/* libseccomp writes it to a descriptor only. */
static int read_filter(int fd, struct sandbox_filter **ret_filter, struct err *err)
{
        const off_t size = lseek(fd, 0, SEEK_END);
        const size_t n = size <= 0 ? 0 : (size_t)size / sizeof(struct sock_filter);
        struct sandbox_filter *filter;

        if (n == 0 || n > BPF_MAXINSNS)
                return err_set(err, ERR_FAILED, "a system call filter of %zu steps", n);
        filter = calloc(1, sizeof(*filter) + n * sizeof(filter->code[0]));
        if (filter == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        filter->n = (unsigned short)n;
        if (pread(fd, filter->code, n * sizeof(filter->code[0]), 0) != size) {
                free(filter);
                return err_set(err, ERR_IO, "read the system call filter");
        }
        *ret_filter = filter;
        return 0;
}

int sandbox_filter_new(const struct sandbox_policy *policy, struct sandbox_filter **ret_filter,
                       struct err *err)
{
        scmp_filter_ctx filter;
        int AUTO_FD fd = memfd_create("filter", MFD_CLOEXEC);
        int rc;

        if (fd < 0)
                return err_set_errno(err, errno, "make room for the system call filter");
        rc = build_filter(policy, &filter, err);
        if (rc != 0)
                return rc;
        rc = seccomp_export_bpf(filter, fd);
        seccomp_release(filter);
        return rc != 0 ? err_set_errno(err, -rc, "export the system call filter")
                       : read_filter(fd, ret_filter, err);
}

void sandbox_filter_free(struct sandbox_filter *filter)
{
        free(filter);
}

static int load_made(const struct sandbox_filter *filter, unsigned *degraded, struct err *err)
{
        struct sock_fprog program = {.len = filter->n,
                                     .filter = (struct sock_filter *)(uintptr_t)filter->code};

        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0)
                return 0;
        if (errno != EINVAL && errno != ENOSYS)
                return err_set_errno(err, errno, "load the system call filter");
        *degraded |= SANDBOX_SECCOMP;
        return 0;
}

static int step_seccomp(const struct sandbox_policy *policy, unsigned *degraded, struct err *err)
{
        scmp_filter_ctx filter;
        int rc;

        if (policy->filter != NULL)
                return load_made(policy->filter, degraded, err);
        rc = build_filter(policy, &filter, err);
        if (rc != 0)
                return rc;
        rc = seccomp_load(filter);
        seccomp_release(filter);
        if (rc == -EINVAL || rc == -ENOSYS || rc == -ECANCELED) {
                *degraded |= SANDBOX_SECCOMP;
                return 0;
        }
        return rc == 0 ? 0 : err_set_errno(err, -rc, "load the system call filter");
}

int sandbox_enter(const struct sandbox_policy *policy, unsigned *ret_degraded, struct err *err)
{
        unsigned degraded = 0;
        int rc = (policy->skip & SANDBOX_FDS) != 0 ? 0 : step_fds(policy, err);

        if (rc == 0)
                rc = step_privileges(err);
        if (rc == 0 && (policy->skip & SANDBOX_LANDLOCK) == 0)
                rc = step_landlock(&degraded, err);
        if (rc == 0 && (policy->skip & SANDBOX_LIMITS) == 0)
                rc = step_limits(policy, err);
        if (rc == 0)
                rc = step_seccomp(policy, &degraded, err);
        if (rc != 0)
                return err_wrap(err, "enter the sandbox");
        note_confinement();
        *ret_degraded = degraded;
        return 0;
}

char *sandbox_describe(unsigned steps, char *ret_text, size_t size)
{
        size_t len = 0;

        ret_text[0] = '\0';
        for (unsigned i = 0; i < SANDBOX_STEPS; i++) {
                int n;

                if ((steps & (1U << i)) == 0 || len >= size)
                        continue;
                n = snprintf(ret_text + len, size - len, "%s%s", len == 0 ? "" : ", ",
                             step_names[i]);
                len += n > 0 ? (size_t)n : 0;
        }
        return ret_text;
}
