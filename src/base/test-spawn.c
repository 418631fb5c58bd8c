/*
 * The test starts itself again with a word that says what to look at from inside.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "base/spawn.h"
#include "lib/test.h"

#define NOBODY 65534

static char self[PATH_MAX];

static int count_open_fds(void)
{
        int n = 0;

        for (int fd = 0; fd < 1024; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

/* Descriptors 0 to 2, 7 and 9 and no other; 9 is a pipe's end that was number 7 outside. */
static int look_at_fds(void)
{
        struct stat st;

        if (count_open_fds() != 5 || fcntl(7, F_GETFD) < 0 || fstat(9, &st) < 0)
                return 1;
        return S_ISFIFO(st.st_mode) && write(9, "x", 1) == 1 ? 0 : 2;
}

static int look_at_env(void)
{
        extern char **environ;

        return environ[0] != NULL && strcmp(environ[0], "ONLY=this") == 0 && environ[1] == NULL ? 0
                                                                                                : 1;
}

static int look_at_group(void)
{
        return getpgrp() == getpid() ? 0 : 1;
}

static int look_at_signals(void)
{
        struct sigaction action;
        sigset_t mask;

        if (sigaction(SIGPIPE, NULL, &action) < 0 || sigprocmask(SIG_SETMASK, NULL, &mask) < 0)
                return 1;
        return action.sa_handler == SIG_DFL && sigismember(&mask, SIGUSR1) == 0 ? 0 : 2;
}

static int look_at_privileges(void)
{
        int death = 0;

        if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
                return 1;
        return prctl(PR_GET_PDEATHSIG, &death) == 0 && death == SIGKILL ? 0 : 2;
}

static int look_at_limits(void)
{
        struct rlimit limit;

        return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max == 17 ? 0 : 1;
}

static int look_at_pid(void)
{
        return getpid() == 1 ? 0 : 1;
}

static int look_at_user(void)
{
        return getuid() == NOBODY && geteuid() == NOBODY && getgroups(0, NULL) <= 1 && setuid(0) < 0
                   ? 0
                   : 1;
}

static int sleep_for_ever(void)
{
        while (pause() < 0 && errno == EINTR)
                continue;
        return 1;
}

static const struct {
        const char *word;
        int (*look)(void);
} looks[] = {
    {"fds", look_at_fds},         {"env", look_at_env},
    {"signals", look_at_signals}, {"privileges", look_at_privileges},
    {"limits", look_at_limits},   {"pid", look_at_pid},
    {"user", look_at_user},       {"sleep", sleep_for_ever},
    {"group", look_at_group},
};

static int be_child(const char *word)
{
        for (size_t i = 0; i < ARRAY_SIZE(looks); i++)
                if (strcmp(looks[i].word, word) == 0)
                        return looks[i].look();
        return 99;
}

static struct spawn_request request_for(const char *const *argv)
{
        return (struct spawn_request){.path = self, .argv = argv};
}

static int run(const struct spawn_request *request, unsigned *ret_degraded)
{
        struct spawn_child child = {.pidfd = -1};
        struct err err = {0};
        int status = -1;

        assert_ok(spawn_start(request, &child, &err), &err);
        assert_true((child.degraded == 0) == (child.words[0] == '\0'));
        if (child.degraded != 0)
                print_message("[  NOTE    ] %s\n", child.words);
        if (ret_degraded != NULL)
                *ret_degraded = child.degraded;
        assert_ok(spawn_wait(&child, 20000, &status, &err), &err);
        assert_int_equal(child.pidfd, -1);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void maps_descriptors_exactly(void **state)
{
        const char *argv[] = {self, "fds", NULL};
        struct spawn_request request = request_for(argv);
        int pipe_fds[2];
        char got = 0;

        (void)state;
        assert_int_equal(pipe2(pipe_fds, 0), 0); /* not close-on-exec: must not leak all the same */
        assert_int_equal(dup2(pipe_fds[1], 7), 7);
        assert_int_equal(dup2(0, 9), 9);
        /* The two change places. */
        request.fds = (struct spawn_fd[]){{7, 9}, {9, 7}};
        request.n_fds = 2;
        assert_int_equal(run(&request, NULL), 0);
        (void)close(7);
        (void)close(9);
        (void)close(pipe_fds[1]);
        assert_int_equal(read(pipe_fds[0], &got, 1), 1);
        assert_int_equal(read(pipe_fds[0], &got, 1), 0);
        (void)close(pipe_fds[0]);
}

static void refuses_maps_that_make_no_sense(void **state)
{
        static const struct spawn_fd rows[][2] = {{{0, 5}, {1, 5}},
                                                  {{0, 5}, {-1, 6}},
                                                  {{0, 5}, {0, -1}},
                                                  {{0, 5}, {0, SPAWN_TARGET_MAX}}};
        const char *argv[] = {self, "fds", NULL};
        struct spawn_request request = request_for(argv);

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct spawn_child child = {.pid = 77};
                struct err err = {0};

                request.fds = rows[i];
                request.n_fds = 2;
                assert_int_equal(spawn_start(&request, &child, &err), ERR_USAGE);
                assert_int_equal(child.pid, 77);
        }
        request.path = "true";
        request.n_fds = 0;
        assert_int_equal(spawn_start(&request, &(struct spawn_child){0}, &(struct err){0}),
                         ERR_USAGE);
}

static void gives_a_clean_start(void **state)
{
        static const char *const words[] = {"env", "signals", "privileges", "limits", "group"};
        static const char *const env[] = {"ONLY=this", NULL};
        static const struct spawn_limit limits[] = {{RLIMIT_NOFILE, 17}};
        struct sigaction ignore = {.sa_handler = SIG_IGN};
        sigset_t usr1;

        (void)state;
        sigemptyset(&usr1);
        sigaddset(&usr1, SIGUSR1);
        (void)sigprocmask(SIG_BLOCK, &usr1, NULL);
        (void)sigaction(SIGPIPE, &ignore, NULL);
        for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
                const char *argv[] = {self, words[i], NULL};
                struct spawn_request request = request_for(argv);

                request.env = env;
                request.limits = limits;
                request.n_limits = ARRAY_SIZE(limits);
                request.own_group = strcmp(words[i], "group") == 0;
                if (run(&request, NULL) != 0)
                        fail_msg("%s is not as it should be in the child", words[i]);
        }
}

static void names_what_could_not_be_executed(void **state)
{
        const char *argv[] = {"x", NULL};
        struct spawn_request request = {.path = "/nonexistent/program", .argv = argv};
        struct spawn_child child = {.pid = 77};
        struct err err = {0};

        (void)state;
        assert_int_equal(spawn_start(&request, &child, &err), ERR_NOT_FOUND);
        assert_non_null(strstr(err.text, "/nonexistent/program: execute"));
        assert_int_equal(child.pid, 77);
        request.path = "/etc/passwd";
        assert_int_equal(spawn_start(&request, &child, &err), ERR_NOT_PERMITTED);
}

/* Where descriptors are short the starter hears why, and has no child that ended without a word. */
static void too_few_descriptors_are_said(void **state)
{
        const char *const argv[] = {"true", NULL};
        struct spawn_request request = {.path = "/bin/true", .argv = argv};
        struct spawn_child child = {0};
        struct err err = {0};
        struct rlimit before;
        struct rlimit low;
        int rc;

        (void)state;
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        for (rlim_t limit = SPAWN_TARGET_MAX - 4; limit <= SPAWN_TARGET_MAX; limit += 4) {
                low = (struct rlimit){limit, before.rlim_max};
                assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
                rc = spawn_start(&request, &child, &err);
                assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
                assert_int_not_equal(rc, 0);
                assert_non_null(strstr(err.text, "Too many open files"));
        }
}

static void isolates_as_far_as_the_kernel_allows(void **state)
{
        const char *argv[] = {self, "pid", NULL};
        struct spawn_request request = request_for(argv);
        unsigned degraded = 0;
        int rc;

        (void)state;
        request.isolate =
            SPAWN_ISOLATE_PID | SPAWN_ISOLATE_NET | SPAWN_ISOLATE_MOUNT | SPAWN_ISOLATE_IPC;
        rc = run(&request, &degraded);
        assert_int_equal(rc, (degraded & SPAWN_ISOLATE_PID) != 0 ? 1 : 0);
}

static void root_gives_the_child_its_own_user(void **state)
{
        const char *argv[] = {self, "user", NULL};
        struct spawn_request request = request_for(argv);
        unsigned degraded = 0;

        (void)state;
        if (geteuid() != 0) {
                print_message("[  NOTE    ] not root: own uid not tried\n");
                skip();
        }
        request.path = "/proc/self/exe"; /* works even where the build directory is private */
        request.uid = NOBODY;
        request.gid = NOBODY;
        request.isolate = SPAWN_ISOLATE_USER;
        assert_int_equal(run(&request, &degraded), 0);
        assert_int_equal(degraded, 0);
        request.uid = 0;
        assert_int_equal(run(&request, &degraded), 1);
        assert_int_equal(degraded, SPAWN_DEGRADED_UID);
}

/* A static program in a directory of its own that only root may enter. */
static void copy_program(char dir[PATH_MAX], char program[PATH_MAX])
{
        static const char from[] = "/bin/busybox";
        AUTO_FREE uint8_t *data = NULL;
        struct err err = {0};
        size_t len;

        if (geteuid() != 0 || access(from, X_OK) != 0) {
                print_message("[  NOTE    ] not root or no %s\n", from);
                skip();
        }
        (void)snprintf(dir, PATH_MAX, "/tmp/catena-spawn-XXXXXX");
        assert_non_null(mkdtemp(dir));
        (void)snprintf(program, PATH_MAX, "%s/true", dir);
        assert_ok(fs_read_file(from, 16U << 20, &data, &len, &err), &err);
        assert_ok(fs_write_file(program, data, len, 0755, &err), &err);
}

/* As with a clone below root's home: its own uid may not walk there. */
static void own_user_needs_no_way_to_the_program(void **state)
{
        char dir[PATH_MAX], program[PATH_MAX];
        const char *argv[] = {"true", NULL};
        struct spawn_request request = {
            .path = program, .argv = argv, .uid = NOBODY, .gid = NOBODY};

        (void)state;
        copy_program(dir, program);
        assert_int_equal(run(&request, NULL), 0);
        assert_int_equal(chmod(program, 0700), 0);
        assert_int_equal(spawn_start(&request, &(struct spawn_child){0}, &(struct err){0}),
                         ERR_NOT_PERMITTED);
        assert_int_equal(unlink(program), 0);
        assert_int_equal(rmdir(dir), 0);
}

/* 0 if the mount namespace that cannot be made private was said to be missing. */
static int spawn_in_chroot(const char *dir)
{
        const char *argv[] = {"true", NULL};
        struct spawn_request request = {
            .path = "/true", .argv = argv, .isolate = SPAWN_ISOLATE_MOUNT};
        struct spawn_child child = {.pidfd = -1};
        struct err err = {0};
        int status = -1;

        if (chroot(dir) < 0 || chdir("/") < 0 || mkdir("/dev", 0700) < 0 ||
            mknod("/dev/null", S_IFCHR | 0666, makedev(1, 3)) < 0)
                return 10;
        if (spawn_start(&request, &child, &err) != 0) {
                (void)fprintf(stderr, "%s\n", err.text);
                return 11;
        }
        if (spawn_wait(&child, 20000, &status, &err) != 0 || status != 0)
                return 12;
        return child.degraded == SPAWN_ISOLATE_MOUNT ? 0 : 13;
}

static void in_a_chroot_mounts_are_said_to_be_shared(void **state)
{
        char dir[PATH_MAX], program[PATH_MAX], path[PATH_MAX + 16];
        int status = -1;
        pid_t pid;

        (void)state;
        copy_program(dir, program);
        pid = fork();
        if (pid == 0)
                _exit(spawn_in_chroot(dir));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        (void)snprintf(path, sizeof(path), "%s/dev/null", dir);
        (void)unlink(path);
        *strrchr(path, '/') = '\0';
        (void)rmdir(path);
        assert_int_equal(unlink(program), 0);
        assert_int_equal(rmdir(dir), 0);
        assert_int_equal(status, 0);
}

/* In a child without privileges: 0 isolated, 3 degraded and said so, else a failure. */
static int spawn_without_root(void)
{
        const char *argv[] = {self, "pid", NULL};
        struct spawn_request request = request_for(argv);
        struct spawn_child child = {.pidfd = -1};
        struct err err = {0};
        int status = -1;

        if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
            setresuid(NOBODY, NOBODY, NOBODY) < 0)
                return 10;
        request.path = "/proc/self/exe";
        request.isolate = SPAWN_ISOLATE_USER | SPAWN_ISOLATE_PID | SPAWN_ISOLATE_NET |
                          SPAWN_ISOLATE_MOUNT | SPAWN_ISOLATE_IPC;
        if (spawn_start(&request, &child, &err) != 0) {
                (void)fprintf(stderr, "%s\n", err.text);
                return 11;
        }
        if (spawn_wait(&child, 20000, &status, &err) != 0)
                return 12;
        if (child.degraded != 0)
                return strstr(child.words, "namespace") != NULL ? 3 : 13;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 14;
}

static void without_root_a_user_namespace_does(void **state)
{
        int status = -1;
        pid_t pid;

        (void)state;
        if (geteuid() != 0)
                skip();
        pid = fork();
        if (pid == 0)
                _exit(spawn_without_root());
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 3)
                print_message("[  NOTE    ] no user namespaces here; the child said so\n");
        else
                assert_int_equal(WEXITSTATUS(status), 0);
}

static bool put_line(const char *path, const char *line)
{
        int AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC);

        return fd >= 0 && write(fd, line, strlen(line)) == (ssize_t)strlen(line);
}

/* Root of a container that has one id: the child has the wanted one in its own namespace. */
static int spawn_with_one_id(void)
{
        const char *argv[] = {self, "user", NULL};
        struct spawn_request request = request_for(argv);
        struct spawn_child child = {.pidfd = -1};
        struct err err = {0};
        char map[32];
        int status = -1;

        if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0 ||
            prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
                return 10;
        if (unshare(CLONE_NEWUSER) < 0)
                return 3;
        (void)snprintf(map, sizeof(map), "0 %d 1", NOBODY);
        if (!put_line("/proc/self/setgroups", "deny") || !put_line("/proc/self/uid_map", map) ||
            !put_line("/proc/self/gid_map", map) || geteuid() != 0)
                return 11;
        request.path = "/proc/self/exe";
        request.isolate = SPAWN_ISOLATE_USER;
        request.uid = request.gid = NOBODY;
        if (spawn_start(&request, &child, &err) != 0) {
                (void)fprintf(stderr, "%s\n", err.text);
                return 12;
        }
        if (spawn_wait(&child, 20000, &status, &err) != 0)
                return 13;
        if (child.degraded != 0)
                return 3;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 14;
}

static void root_with_one_id_uses_a_user_namespace(void **state)
{
        int status = -1;
        pid_t pid;

        (void)state;
        if (geteuid() != 0)
                skip();
        pid = fork();
        if (pid == 0)
                _exit(spawn_with_one_id());
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 3)
                print_message("[  NOTE    ] no user namespaces here\n");
        else
                assert_int_equal(WEXITSTATUS(status), 0);
}

static void waits_no_longer_than_told_and_kills(void **state)
{
        const char *argv[] = {self, "sleep", NULL};
        struct spawn_request request = request_for(argv);
        struct spawn_child child = {.pidfd = -1};
        struct err err = {0};
        pid_t pid;
        int status = 55;

        (void)state;
        request.isolate = SPAWN_ISOLATE_PID;
        assert_ok(spawn_start(&request, &child, &err), &err);
        assert_int_equal(spawn_wait(&child, 20, &status, &err), ERR_TIMEOUT);
        assert_int_equal(status, 55);
        pid = child.pid;
        spawn_kill(&child);
        assert_int_equal(child.pidfd, -1);
        assert_int_equal(kill(pid, 0), -1);
        spawn_kill(&child);
}

/* One that stays for a while as it ends: its tracer, we, holds it there, as a device would. */
static void one_that_does_not_end_is_not_waited_for(void **state)
{
        const char *argv[] = {self, "sleep", NULL};
        struct spawn_request request = request_for(argv);
        struct spawn_child child = {.pidfd = -1};
        struct err err = {0};
        int status = 55;

        (void)state;
        assert_ok(spawn_start(&request, &child, &err), &err);
        if (ptrace(PTRACE_SEIZE, child.pid, NULL, (void *)PTRACE_O_TRACEEXIT) < 0) {
                spawn_kill(&child);
                skip();
        }
        assert_false(spawn_end(&child, 50));
        assert_true(child.pid > 0);
        assert_false(spawn_end(&child, 0));
        assert_int_equal(waitpid(child.pid, &status, __WALL), child.pid);
        assert_int_equal(status >> 8, SIGTRAP | (PTRACE_EVENT_EXIT << 8));
        assert_int_equal(ptrace(PTRACE_CONT, child.pid, NULL, NULL), 0);
        assert_int_equal(spawn_wait(&child, 20000, &status, &err), 0);
        assert_int_equal(child.pid, 0);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

        assert_ok(spawn_start(&request, &child, &err), &err);
        assert_true(spawn_end(&child, 20000));
        assert_int_equal(child.pid, 0);
        assert_int_equal(child.pidfd, -1);
}

static int stop_it(void *user, const struct spawn_child *child, struct err *err)
{
        *(pid_t *)user = child->pid;
        return kill(child->pid, SIGSTOP) < 0 ? err_set_errno(err, errno, "stop it") : 0;
}

static void a_program_that_is_not_there_in_time(void **state)
{
        const char *argv[] = {self, "sleep", NULL};
        struct spawn_request request = request_for(argv);
        struct spawn_child child = {.pidfd = 77};
        struct err err = {0};
        pid_t pid = 0;

        (void)state;
        request.announce = stop_it;
        request.user = &pid;
        request.patience_msec = 50;
        assert_int_equal(spawn_start(&request, &child, &err), ERR_TIMEOUT);
        assert_int_equal(child.pidfd, 77);
        assert_true(pid > 0);
        assert_int_equal(kill(pid, 0), -1); /* reaped */
}

static void dismisses_and_reaps_later(void **state)
{
        const char *argv[] = {self, "sleep", NULL};
        struct spawn_request request = request_for(argv);
        struct spawn_child child = {.pidfd = -1};
        struct err err = {0};
        pid_t pid;
        int pidfd;

        (void)state;
        assert_ok(spawn_start(&request, &child, &err), &err);
        pid = child.pid;
        pidfd = spawn_dismiss(&child);
        assert_true(pidfd >= 0);
        assert_int_equal(child.pidfd, -1);
        assert_int_equal(spawn_dismiss(&child), -1);
        spawn_kill(&child);
        assert_int_equal(kill(pid, 0), 0); /* running still, or waiting to be reaped */
        spawn_reap(pidfd);
        assert_int_equal(kill(pid, 0), -1);
        fd_close(&pidfd);
}

/* The starter is killed; its child, which nobody waits for, must go too. */
static void dies_with_its_starter(void **state)
{
        const char *argv[] = {self, "sleep", NULL};
        struct spawn_request request = request_for(argv);
        int pair[2];
        char byte = 0;
        pid_t starter;

        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        starter = fork();
        if (starter == 0) {
                struct spawn_child child = {.pidfd = -1};
                struct err err = {0};

                request.fds = (struct spawn_fd[]){{pair[1], 3}};
                request.n_fds = 1;
                if (spawn_start(&request, &child, &err) != 0 || write(pair[1], "s", 1) != 1)
                        _exit(1);
                (void)sleep_for_ever();
        }
        (void)close(pair[1]);
        assert_int_equal(read(pair[0], &byte, 1), 1);
        assert_int_equal(kill(starter, SIGKILL), 0);
        assert_int_equal(waitpid(starter, NULL, 0), starter);
        assert_int_equal(read(pair[0], &byte, 1), 0); /* hangs if the child lives on */
        (void)close(pair[0]);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(maps_descriptors_exactly),
            cmocka_unit_test(refuses_maps_that_make_no_sense),
            cmocka_unit_test(gives_a_clean_start),
            cmocka_unit_test(names_what_could_not_be_executed),
            cmocka_unit_test(too_few_descriptors_are_said),
            cmocka_unit_test(isolates_as_far_as_the_kernel_allows),
            cmocka_unit_test(root_gives_the_child_its_own_user),
            cmocka_unit_test(own_user_needs_no_way_to_the_program),
            cmocka_unit_test(in_a_chroot_mounts_are_said_to_be_shared),
            cmocka_unit_test(without_root_a_user_namespace_does),
            cmocka_unit_test(root_with_one_id_uses_a_user_namespace),
            cmocka_unit_test(waits_no_longer_than_told_and_kills),
            cmocka_unit_test(one_that_does_not_end_is_not_waited_for),
            cmocka_unit_test(a_program_that_is_not_there_in_time),
            cmocka_unit_test(dismisses_and_reaps_later),
            cmocka_unit_test(dies_with_its_starter),
        };
        if (argc > 1)
                return be_child(argv[1]);
        if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
                return 1;
        return cmocka_run_group_tests_name("base-spawn", tests, NULL, NULL);
}
