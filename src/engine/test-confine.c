/*
 * The engine's own sandbox, entered for real: what an attacker inside would try first.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/confine.h"
#include "engine/interpose.h"
#include "lib/test.h"

#define NO_NAMESPACE 1000

static int do_open(void)
{
        return (int)syscall(SYS_open, "/etc/passwd", O_RDONLY, 0);
}

static int do_openat(void)
{
        return open("/etc/passwd", O_RDONLY | O_CLOEXEC);
}

static int do_socket(void)
{
        return socket(AF_INET, SOCK_STREAM, 0);
}

static int do_execve(void)
{
        return execl("/bin/true", "true", (char *)NULL);
}

static int do_ptrace(void)
{
        return (int)ptrace(PTRACE_ATTACH, 1, NULL, NULL);
}

static int do_fork(void)
{
        return (int)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

static int do_kill(void)
{
        return kill(getppid(), SIGTERM);
}

static int do_tgkill_other(void)
{
        return (int)syscall(SYS_tgkill, 2, 2, SIGTERM);
}

static int do_process_vm_readv(void)
{
        return (int)syscall(SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0);
}

static int do_executable_memory(void)
{
        return (int)syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int do_stat(void)
{
        struct stat st;

        return stat("/etc/shadow", &st);
}

static int do_abort(void)
{
        abort();
}

/* As a program of its own, or as a zygote's copy in a namespace where it is process 1. */
static int in_sandbox(int (*attempt)(void), bool copy)
{
        const unsigned long flags = copy ? CLONE_NEWPID | SIGCHLD : SIGCHLD;
        int status = 0;
        pid_t pid = (pid_t)syscall(SYS_clone, flags, NULL, NULL, NULL, NULL);

        if (copy && pid < 0 && errno == EPERM)
                return NO_NAMESPACE;
        if (pid == 0) {
                struct err err = {0};
                char words[256];

                (void)dup2(0, CONFINE_CORE_FD);
                (void)dup2(0, CONFINE_CONTROL_FD);
                interpose_warm_up();
                if (confine_engine(-1, words, sizeof(words), &err) != 0)
                        _exit(100);
                _exit(attempt());
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void dies_by_what_an_engine_never_does(void **state)
{
        static const struct {
                const char *name;
                int (*attempt)(void);
                int result;
        } rows[] = {
            {"open", do_open, -SIGSYS},
            {"openat", do_openat, -SIGSYS},
            {"socket", do_socket, -SIGSYS},
            {"execve", do_execve, -SIGSYS},
            {"ptrace", do_ptrace, -SIGSYS},
            {"fork", do_fork, -SIGSYS},
            {"kill", do_kill, -SIGSYS},
            {"tgkill of another", do_tgkill_other, -SIGSYS},
            {"process_vm_readv", do_process_vm_readv, -SIGSYS},
            {"executable memory", do_executable_memory, -SIGSYS},
            {"stat", do_stat, -SIGSYS},
            {"abort", do_abort, -SIGABRT},
        };

        (void)state;
        for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
                const bool copy = i % 2 == 1;
                int result = in_sandbox(rows[i / 2].attempt, copy);

                if (copy && result == NO_NAMESPACE)
                        print_message("# skipped: a namespace of its own is refused\n");
                /* Process 1 of a namespace gets no signal of its own making: abort(3) goes on to
                 * the means that the filter kills for. */
                else if (result != rows[i / 2].result &&
                         !(copy && rows[i / 2].attempt == do_abort && result == -SIGSYS))
                        fail_msg("%s: %d", rows[i / 2].name, result);
        }
}

static int live_on(void)
{
        uint8_t bytes[16];
        void *memory = malloc(300000);

        interpose_random(bytes, sizeof(bytes));
        free(memory);
        return memory == NULL;
}

static void lives_on_with_what_it_needs(void **state)
{
        (void)state;
        assert_int_equal(in_sandbox(live_on, false), 0);
}

int main(void)
{
        struct err err = {0};
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(dies_by_what_an_engine_never_does),
            cmocka_unit_test(lives_on_with_what_it_needs),
        };

        if (confine_prepare(&err) != 0)
                return 1;
        return cmocka_run_group_tests_name("confine", tests, NULL, NULL);
}
