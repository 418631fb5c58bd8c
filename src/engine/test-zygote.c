/*
 * Engines as copies of a zygote: whose children they are, what they have and have not, that they
 * outlive it, and that no two draw the same random numbers.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "engine/interpose.h"
#include "lib/vtpm.h"

#define STARTUP    "80010000000c000001440000"
#define GETRANDOM  "80010000000c0000017b0010"
#define EMPTY_AUTH "00000009400000090000000000"
#define CREATE_EK                                                                                  \
        "800200000043000001314000000b" EMPTY_AUTH "000400000000001a0023000b000300720000"           \
        "000600800043001000030010000000000000"                                                     \
        "00000000"
#define DRAWN 32

/* OpenSSL's own draws; its header is the engine's interpose.c's alone. */
int RAND_priv_bytes(unsigned char *buf, int num);
const void *RAND_OpenSSL(void);
int RAND_set_rand_method(const void *method);

static struct test_vtpm first;
static struct test_vtpm second;

static int set_up(void **state)
{
        (void)state;
        for (struct test_vtpm *v = &first; v != NULL; v = v == &first ? &second : NULL) {
                memset(v, 0, sizeof(*v));
                v->forked = true;
                v->data = -1;
                v->control = -1;
        }
        return 0;
}

static int set_up_spare(void **state)
{
        int rc = set_up(state);

        first.spare = second.spare = true;
        return rc;
}

static int tear_down(void **state)
{
        (void)state;
        if (first.child.pid > 0)
                test_vtpm_kill(&first);
        if (second.child.pid > 0)
                test_vtpm_kill(&second);
        return 0;
}

static size_t count_fds(pid_t pid)
{
        char path[64];
        DIR *dir;
        size_t n = 0;

        (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
        dir = opendir(path);
        if (dir == NULL)
                return 0;
        for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
                n += entry->d_name[0] != '.';
        (void)closedir(dir);
        return n;
}

/* A line of /proc/PID/status. */
static void status_says(pid_t pid, const char *line)
{
        uint8_t AUTO_FREE *text = NULL;
        char path[64];
        struct err err = {0};
        size_t len = 0;

        (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
        assert_ok(fs_read_file(path, 1U << 16, &text, &len, &err), &err);
        if (strstr((const char *)text, line) == NULL)
                fail_msg("not in %s: %s", path, line);
}

static void a_copy_is_our_child_and_has_given_up_everything(void **state)
{
        char line[64];
        pid_t pid;

        (void)state;
        test_vtpm_boot(&first);
        pid = first.child.pid;
        (void)snprintf(line, sizeof(line), "PPid:\t%d\n", (int)getpid());
        status_says(pid, line);
        status_says(pid, "CapEff:\t0000000000000000\n");
        status_says(pid, "CapPrm:\t0000000000000000\n");
        status_says(pid, "NoNewPrivs:\t1\n");
        status_says(pid, "Seccomp:\t2\n");
        if (geteuid() == 0) {
                /* SETGID, SETUID, SYS_ADMIN, SETFCAP */
                status_says(vmm_zygote_pid(test_vtpm_zygote()), "CapEff:\t00000000802000c0\n");
                status_says(pid, "Uid:\t720123\t720123\t720123\t720123\n");
                status_says(pid, "Groups:\t \n");
                /* Standard ones, core, control, data and the watch; the zygote's channel is gone.
                 */
                assert_int_equal(count_fds(pid), 7);
        }
}

/* The zygote keeps no client's descriptor and no dead engine's. */
static void the_zygote_keeps_nothing(void **state)
{
        size_t before;

        (void)state;
        test_vtpm_boot(&first);
        before = count_fds(vmm_zygote_pid(test_vtpm_zygote()));
        for (int i = 0; i < 20; i++) {
                test_vtpm_boot(&second);
                test_vtpm_kill(&second);
        }
        assert_int_equal(count_fds(vmm_zygote_pid(test_vtpm_zygote())), before);
        assert_int_equal(test_vtpm_command(&first, STARTUP), 0);
}

static void engines_outlive_it_and_the_next_one_takes_over(void **state)
{
        pid_t before;

        (void)state;
        test_vtpm_boot(&first);
        before = vmm_zygote_pid(test_vtpm_zygote());
        assert_int_equal(kill(before, SIGKILL), 0);
        assert_int_equal(test_vtpm_command(&first, STARTUP), 0);
        test_vtpm_boot(&second);
        assert_int_not_equal(vmm_zygote_pid(test_vtpm_zygote()), before);
        assert_int_equal(test_vtpm_command(&second, STARTUP), 0);
        assert_int_equal(test_vtpm_command(&first, GETRANDOM), 0);
}

static void two_copies_are_two_tpms(void **state)
{
        (void)state;
        test_vtpm_boot(&first);
        test_vtpm_boot(&second);
        assert_int_equal(test_vtpm_command(&first, STARTUP), 0);
        assert_int_equal(test_vtpm_command(&second, STARTUP), 0);
        assert_int_equal(test_vtpm_command(&first, CREATE_EK), 0);
        assert_int_equal(test_vtpm_command(&second, CREATE_EK), 0);
        assert_memory_not_equal(first.response, second.response, first.response_len);
        assert_int_equal(test_vtpm_command(&first, GETRANDOM), 0);
        assert_int_equal(test_vtpm_command(&second, GETRANDOM), 0);
        assert_memory_not_equal(first.response + 12, second.response + 12, 16);
}

/* ---- two processes with the same number ---- */

static void draw(int out)
{
        uint8_t bytes[DRAWN] = {0};

        if (RAND_priv_bytes(bytes, DRAWN) != 1 ||
            write(out, bytes, sizeof(bytes)) != (ssize_t)sizeof(bytes))
                _exit(1);
        _exit(0);
}

static pid_t clone_in_namespace(void)
{
        return (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
}

static bool ends_well(pid_t pid)
{
        int status = 1;

        return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Process 1 of its namespace, as its copies are of theirs: nobody can tell a fork by the number. */
static _Noreturn void be_a_zygote(int out, bool own)
{
        uint8_t byte;

        interpose_warm_up();
        if (own && (RAND_set_rand_method(RAND_OpenSSL()) != 1 || RAND_priv_bytes(&byte, 1) != 1))
                _exit(1);
        for (int i = 0; i < 2; i++) {
                pid_t pid = clone_in_namespace();

                if (pid == 0)
                        draw(out);
                if (pid < 0 || !ends_well(pid))
                        _exit(1);
        }
        _exit(0);
}

/*
 * Whether two such copies drew different numbers, perhaps from generators of OpenSSL's own; skips
 * where namespaces are refused.
 */
static bool copies_differ(bool own)
{
        uint8_t drawn[2 * DRAWN];
        struct err err = {0};
        int out[2];
        pid_t pid;

        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        pid = clone_in_namespace();
        if (pid == 0)
                be_a_zygote(out[1], own);
        if (pid < 0 && errno == EPERM)
                skip();
        assert_true(ends_well(pid));
        assert_ok(fd_read_exact(out[0], drawn, sizeof(drawn), &err), &err);
        fd_close(&out[0]);
        fd_close(&out[1]);
        return memcmp(drawn, drawn + DRAWN, DRAWN) != 0;
}

/* The first half is why the second is needed (PROTOCOLS, Engines): it must fail without. */
static void the_same_number_does_not_mean_the_same_random_numbers(void **state)
{
        (void)state;
        assert_false(copies_differ(true));
        for (int i = 0; i < 10; i++)
                assert_true(copies_differ(false));
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define SPARE(test)                                                                                \
        {                                                                                          \
#test " (spare)", test, set_up_spare, tear_down, NULL                              \
        }

int main(void)
{
        const struct CMUnitTest tests[] = {
            ROW(a_copy_is_our_child_and_has_given_up_everything),
            ROW(the_zygote_keeps_nothing),
            ROW(engines_outlive_it_and_the_next_one_takes_over),
            ROW(two_copies_are_two_tpms),
            SPARE(a_copy_is_our_child_and_has_given_up_everything),
            SPARE(the_zygote_keeps_nothing),
            SPARE(two_copies_are_two_tpms),
            ROW(the_same_number_does_not_mean_the_same_random_numbers),
        };
        return cmocka_run_group_tests_name("engine-zygote", tests, NULL, NULL);
}
