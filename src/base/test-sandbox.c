/*
 * Everything runs for real in children that lock themselves up.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/sandbox.h"
#include "lib/test.h"

/* What leaving a process takes, the sanitizers' way included. */
#define CALLS_FOR_THE_END                                                                          \
        SANDBOX_ALLOW(exit_group), SANDBOX_ALLOW(write), SANDBOX_ALLOW(close),                     \
            SANDBOX_ALLOW(sigaltstack)

static const struct sandbox_call strict_calls[] = {
    CALLS_FOR_THE_END,
    SANDBOX_ALLOW_IF(fcntl, 1, ~0ULL, F_GETFD),
    SANDBOX_ALLOW_IF(mmap, 2, PROT_EXEC, 0),
};

/* All that the attempts need, so that Landlock and the limits alone stand in the way. */
static const struct sandbox_call lax_calls[] = {
    CALLS_FOR_THE_END,    SANDBOX_ALLOW(openat),         SANDBOX_ALLOW(open),
    SANDBOX_ALLOW(mkdir), SANDBOX_ALLOW(socket),         SANDBOX_ALLOW(bind),
    SANDBOX_ALLOW(clone), SANDBOX_ALLOW(prctl),          SANDBOX_ALLOW(gettid),
    SANDBOX_ALLOW(fcntl), SANDBOX_ALLOW(rt_sigprocmask), SANDBOX_ALLOW(set_robust_list),
};

/* For the orderly end of a process that is refused the rest: threads and ptrace, for one. */
static const struct sandbox_call exit_calls[] = {
    CALLS_FOR_THE_END,        SANDBOX_ALLOW(fstat),  SANDBOX_ALLOW(newfstatat),
    SANDBOX_ALLOW(lseek),     SANDBOX_ALLOW(brk),    SANDBOX_ALLOW_IF(mmap, 2, PROT_EXEC, 0),
    SANDBOX_ALLOW(munmap),    SANDBOX_ALLOW(futex),  SANDBOX_ALLOW(madvise),
    SANDBOX_ALLOW(getrandom), SANDBOX_ALLOW(gettid), SANDBOX_ALLOW(rt_sigprocmask),
};

static const int kept_fds[] = {30};

static const struct sandbox_policy strict = {.calls = strict_calls,
                                             .n_calls = ARRAY_SIZE(strict_calls),
                                             .keep = kept_fds,
                                             .n_keep = 1,
                                             .n_files = 32};
static const struct sandbox_policy lax = {
    .calls = lax_calls, .n_calls = ARRAY_SIZE(lax_calls), .n_files = 32};

static const struct sandbox_policy refusing = {
    .calls = exit_calls, .n_calls = ARRAY_SIZE(exit_calls), .n_files = 32, .other_errno = EPERM};

static int try_nothing(void)
{
        return fcntl(30, F_GETFD) >= 0 && fcntl(31, F_GETFD) < 0 ? 0 : 1;
}

static int try_open(void)
{
        return open("/etc/passwd", O_RDONLY | O_CLOEXEC);
}

static int try_socket(void)
{
        return socket(AF_UNIX, SOCK_STREAM, 0);
}

static int try_execve(void)
{
        return execl("/bin/true", "true", (char *)NULL);
}

static int try_ptrace(void)
{
        return (int)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static int try_fork(void)
{
        return (int)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

static int try_executable_memory(void)
{
        return (int)syscall(SYS_mmap, NULL, 4096, 7 /* all of PROT_ */, 0x22, -1, 0);
}

static int try_duplicate(void)
{
        return fcntl(1, F_DUPFD, 20); /* fcntl is allowed, this use is not */
}

/* 0 when the attempt is refused with this errno. */
static int refused(int result, int errnum)
{
        return result < 0 && errno == errnum ? 0 : 1;
}

static int try_open_under_landlock(void)
{
        return refused(try_open(), EACCES) | refused(mkdir("/tmp/x-catena", 0700), EACCES);
}

static int try_fork_under_limits(void)
{
        return refused(try_fork(), EAGAIN);
}

static int try_dumpable(void)
{
        return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) + !prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

static int try_exit(void)
{
        exit(7);
}

/* Exit status, or minus the signal; *ret_degraded comes back through a pipe. */
static int in_sandbox(const struct sandbox_policy *policy, int (*attempt)(void),
                      unsigned *ret_degraded)
{
        int status = 0;
        int pipe_fds[2];
        pid_t pid;

        assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
        pid = fork();
        if (pid == 0) {
                struct err err = {0};
                unsigned degraded = ~0U;
                int out = dup2(pipe_fds[1], 2);

                (void)dup2(0, 30);
                (void)dup2(0, 31);
                if (sandbox_enter(policy, &degraded, &err) != 0)
                        _exit(100);
                (void)!write(out, &degraded, sizeof(degraded));
                _exit(attempt());
        }
        (void)close(pipe_fds[1]);
        assert_int_equal(read(pipe_fds[0], ret_degraded, sizeof(*ret_degraded)),
                         sizeof(*ret_degraded));
        (void)close(pipe_fds[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void dies_by_any_call_not_listed(void **state)
{
        static const struct {
                const char *name;
                int (*attempt)(void);
                int result;
        } rows[] = {
            {"nothing", try_nothing, 0},
            {"open", try_open, -SIGSYS},
            {"socket", try_socket, -SIGSYS},
            {"execve", try_execve, -SIGSYS},
            {"ptrace", try_ptrace, -SIGSYS},
            {"fork", try_fork, -SIGSYS},
            {"mmap with PROT_EXEC", try_executable_memory, -SIGSYS},
            {"fcntl with F_DUPFD", try_duplicate, -SIGSYS},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                unsigned degraded = 0;
                int result = in_sandbox(&strict, rows[i].attempt, &degraded);

                if ((degraded & SANDBOX_SECCOMP) != 0) {
                        print_message("[  NOTE    ] no seccomp here\n");
                        skip();
                }
                if (result != rows[i].result)
                        fail_msg("%s: %d", rows[i].name, result);
        }
}

/* exit(3) runs what the libraries left for then: the leak check of a build with sanitizers, too. */
static void ends_with_its_own_status(void **state)
{
        unsigned degraded = 0;

        (void)state;
        (void)fflush(NULL);
        assert_int_equal(in_sandbox(&refusing, try_exit, &degraded), 7);
}

static void landlock_limits_and_dumpable_hold_by_themselves(void **state)
{
        unsigned degraded = 0;
        char words[128];

        (void)state;
        assert_int_equal(in_sandbox(&lax, try_dumpable, &degraded), 0);
        print_message("[  NOTE    ] not offered here: %s\n",
                      sandbox_describe(degraded, words, sizeof(words)));
        if ((degraded & SANDBOX_LANDLOCK) == 0)
                assert_int_equal(in_sandbox(&lax, try_open_under_landlock, &degraded), 0);
        if (geteuid() != 0) /* the limit does not bind root */
                assert_int_equal(in_sandbox(&lax, try_fork_under_limits, &degraded), 0);
}

/* A kernel or container without Landlock: its calls fail, the rest still holds and it is said. */
static int enter_without_landlock(void)
{
        static const struct sandbox_call all_but_landlock[] = {
            CALLS_FOR_THE_END,        SANDBOX_ALLOW(fcntl),     SANDBOX_ALLOW(close_range),
            SANDBOX_ALLOW(prctl),     SANDBOX_ALLOW(seccomp),   SANDBOX_ALLOW(prlimit64),
            SANDBOX_ALLOW(brk),       SANDBOX_ALLOW(mmap),      SANDBOX_ALLOW(munmap),
            SANDBOX_ALLOW(getrandom), SANDBOX_ALLOW(setrlimit), SANDBOX_ALLOW(openat),
            SANDBOX_ALLOW(mremap),    SANDBOX_ALLOW(madvise),   SANDBOX_ALLOW(futex)};
        const struct sandbox_policy outer = {.calls = all_but_landlock,
                                             .n_calls = ARRAY_SIZE(all_but_landlock),
                                             .n_files = 32,
                                             .other_errno = EOPNOTSUPP};
        struct err err = {0};
        unsigned degraded = 0;

        if (sandbox_enter(&outer, &degraded, &err) != 0)
                return 1;
        degraded = 0;
        if (sandbox_enter(&strict, &degraded, &err) != 0)
                return 2;
        return (degraded & SANDBOX_LANDLOCK) != 0 && (degraded & SANDBOX_SECCOMP) == 0 ? 0 : 3;
}

static void says_what_is_missing(void **state)
{
        char words[128];
        char cut[8];
        int status = 0;
        pid_t pid = fork();

        (void)state;
        if (pid == 0)
                _exit(enter_without_landlock());
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        assert_string_equal(sandbox_describe(0, words, sizeof(words)), "");
        assert_string_equal(
            sandbox_describe(SANDBOX_LANDLOCK | SANDBOX_SECCOMP, words, sizeof(words)),
            "landlock, seccomp");
        assert_string_equal(sandbox_describe(SANDBOX_LANDLOCK | SANDBOX_SECCOMP, cut, sizeof(cut)),
                            "landloc");
}

/* 0: as it should be; 77: this kernel has no Landlock. */
static int use_files(bool with_dir)
{
        int dir = open(test_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        const struct sandbox_place place = {.dir = dir};
        unsigned degraded = 0;
        struct err err = {0};
        int fd;

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            sandbox_restrict_files(&place, with_dir, &degraded, &err) != 0)
                return 1;
        if (degraded != 0)
                return 77;
        if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0)
                return 2;
        fd = openat(dir, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (!with_dir)
                return fd < 0 ? 0 : 3;
        return fd >= 0 && renameat(dir, "new", dir, "old") == 0 ? 0 : 4;
}

/* The same; nothing is opened, made or renamed, and files go only where they may. */
static int remove_files(void)
{
        int dir = open(test_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int inner;
        const struct sandbox_place *place;
        unsigned degraded = 0;
        struct err err = {0};

        if (mkdirat(dir, "here", 0700) < 0 || mkdirat(dir, "there", 0700) < 0 ||
            mknodat(dir, "here/file", S_IFREG | 0600, 0) < 0 ||
            mknodat(dir, "here/other", S_IFSOCK | 0600, 0) < 0 ||
            mknodat(dir, "there/file", S_IFREG | 0600, 0) < 0)
                return 1;
        inner = openat(dir, "here", O_PATH | O_DIRECTORY | O_CLOEXEC);
        place = &(struct sandbox_place){.dir = inner, .removal_only = true};
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            sandbox_restrict_files(place, 1, &degraded, &err) != 0)
                return 2;
        if (degraded != 0)
                return 77;
        if (openat(dir, "here/file", O_RDONLY | O_CLOEXEC) >= 0 ||
            openat(dir, "here/new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0)
                return 3;
        if (renameat(dir, "here/file", dir, "here/new") == 0)
                return 4;
        if (unlinkat(dir, "there/file", 0) == 0 || unlinkat(dir, "there", AT_REMOVEDIR) == 0)
                return 5;
        return unlinkat(inner, "file", 0) == 0 && unlinkat(inner, "other", 0) == 0 ? 0 : 6;
}

static void check_in_child(int (*attempt)(void))
{
        int status = 0;
        pid_t pid;

        (void)test_dir(); /* the parent's, which removes it */
        pid = fork();
        if (pid == 0)
                _exit(attempt());
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 77)
                skip();
        assert_int_equal(WEXITSTATUS(status), 0);
}

static int use_directory(void)
{
        return use_files(true);
}

static int use_none(void)
{
        return use_files(false);
}

static void one_directory_or_none_is_left(void **state)
{
        (void)state;
        check_in_child(use_directory);
        check_in_child(use_none);
}

static void files_can_only_be_removed(void **state)
{
        (void)state;
        check_in_child(remove_files);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(dies_by_any_call_not_listed),
            cmocka_unit_test(ends_with_its_own_status),
            cmocka_unit_test(landlock_limits_and_dumpable_hold_by_themselves),
            cmocka_unit_test(says_what_is_missing),
            cmocka_unit_test(one_directory_or_none_is_left),
            cmocka_unit_test(files_can_only_be_removed),
        };
        return cmocka_run_group_tests_name("base-sandbox", tests, NULL, NULL);
}
