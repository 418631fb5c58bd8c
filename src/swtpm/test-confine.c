/* What a server in swtpm's place can still do, and what it cannot. */
#include "swtpm/confine.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sandbox.h"
#include "lib/test.h"

static int dir;
static pid_t engine;

static int enter(void)
{
        const struct confine_request request = {.engine = engine, .socket_dir = dir, .pidfile = ""};
        char words[256];
        struct err err = {0};

        return confine_server(&request, words, sizeof(words), &err);
}

/* Each returns whether it was done. */
static bool opens_a_file(void)
{
        return open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0;
}

static bool makes_a_file(void)
{
        return openat(dir, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0;
}

static bool makes_a_socket(void)
{
        return socket(AF_UNIX, SOCK_STREAM, 0) >= 0;
}

static bool starts_a_program(void)
{
        return syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL) >= 0 ||
               execl("/bin/false", "false", NULL) == 0 /* exits with 1 */;
}

static bool traces(void)
{
        return syscall(SYS_ptrace, 16 /* ATTACH */, engine, 0, 0) == 0;
}

static bool signals_others(void)
{
        return kill(getppid(), 0) == 0;
}

static bool maps_executable_memory(void)
{
        return syscall(SYS_mmap, NULL, 4096, 7 /* all of PROT_ */, 0x22, -1, 0) != -1;
}

static bool removes_elsewhere(void)
{
        return unlinkat(AT_FDCWD, "elsewhere/file", 0) == 0;
}

static bool changes_a_mode(void)
{
        return fchmodat(dir, "file", 0777, 0) == 0;
}

static bool removes_its_socket(void)
{
        return unlinkat(dir, "file", 0) == 0;
}

static bool ends_its_engine(void)
{
        return kill(engine, SIGKILL) == 0;
}

static const struct {
        const char *name;
        bool (*attempt)(void);
        bool allowed;
        bool by_landlock;
} rows[] = {
    {"open a file", opens_a_file, false, false},
    {"make a file", makes_a_file, false, false},
    {"make a socket", makes_a_socket, false, false},
    {"start a program", starts_a_program, false, false},
    {"trace its engine", traces, false, false},
    {"signal another process", signals_others, false, false},
    {"executable memory", maps_executable_memory, false, false},
    {"remove another directory's file", removes_elsewhere, false, true},
    {"change a mode", changes_a_mode, false, false},
    {"remove its socket", removes_its_socket, true, false},
    {"end its engine", ends_its_engine, true, false},
};

static bool has_landlock(void)
{
        return syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* VERSION */) > 0;
}

static void run_row(size_t i)
{
        int status = 0;
        pid_t pid = fork();

        if (pid == 0)
                _exit(enter() != 0 ? 2 : rows[i].attempt());
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != rows[i].allowed)
                fail_msg("%s: status %d", rows[i].name, status);
}

static void holds_what_it_needs_and_nothing_else(void **state)
{
        (void)state;
        assert_int_equal(chdir(test_dir()), 0);
        assert_int_equal(mkdir("here", 0700) + mkdir("elsewhere", 0700), 0);
        assert_int_equal(mknod("here/file", S_IFREG | 0600, 0), 0);
        assert_int_equal(mknod("elsewhere/file", S_IFREG | 0600, 0), 0);
        dir = open("here", O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_true(dir >= 0);
        engine = fork();
        if (engine == 0)
                for (;;)
                        (void)pause();
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (!rows[i].by_landlock || has_landlock())
                        run_row(i);
        assert_int_equal(waitpid(engine, NULL, 0), engine);
        assert_int_equal(close(dir), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(holds_what_it_needs_and_nothing_else),
        };

        if (SANDBOX_SANITIZED) {
                (void)puts("1..0 # SKIP sanitizers need more system calls");
                return EXIT_SUCCESS;
        }
        return cmocka_run_group_tests_name("swtpm-confine", tests, NULL, NULL);
}
