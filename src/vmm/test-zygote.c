/* A zygote that is slow or hangs, and who waits for it how long. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "lib/test.h"
#include "vmm/zygote.h"

#define UID         720001 /* where the test is root */
#define PATIENCE    300
#define MUCH_LONGER 4000 /* than PATIENCE, on a busy machine; shorter than any other wait */

static struct vmm_zygote *zygote;

static int set_up(void **state)
{
        struct err err = {0};
        char path[PATH_MAX];

        (void)state;
        (void)snprintf(path, sizeof(path), "%s/catena-vtpm", getenv("CATENA_BUILD"));
        assert_ok(vmm_zygote_new(path, &zygote, &err), &err);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        vmm_zygote_free(TAKE(zygote));
        return 0;
}

static uint64_t now_msec(void)
{
        struct timespec now = {0};

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Forks a spare, which ends at once, as its channel does. */
static int fork_one(int patience_msec, uint64_t *ret_msec)
{
        struct vmm_zygote_request request = {
            .uid = UID, .control = -1, .patience_msec = patience_msec};
        struct spawn_child child = {.pidfd = -1};
        struct err err = {0};
        const uint64_t begin = now_msec();
        int core[2];
        int rc;

        assert_ok(fd_socketpair(SOCK_SEQPACKET, core, &err), &err);
        request.core = core[1];
        rc = vmm_zygote_fork(zygote, &request, &child, &err);
        *ret_msec = now_msec() - begin;
        fd_close(&core[0]);
        fd_close(&core[1]);
        spawn_kill(&child);
        return rc;
}

static void never(void *user, struct spawn_child *child, const struct err *failure)
{
        (void)user;
        (void)child;
        fail_msg("told: %s", failure == NULL ? "a child" : failure->text);
}

static void stop_it(void)
{
        assert_true(vmm_zygote_pid(zygote) > 0);
        assert_int_equal(kill(vmm_zygote_pid(zygote), SIGSTOP), 0);
}

/* All who wait for it wait once, and it is not begun anew: it would never come up. */
static void one_that_warms_up_has_its_time(void **state)
{
        const struct vmm_zygote_request spare = {.uid = UID, .control = -1};
        struct err err = {0};
        uint64_t begin;
        uint64_t msec;
        pid_t pid;
        int fd;

        (void)state;
        assert_ok(vmm_zygote_warm(zygote, &err), &err);
        stop_it();
        pid = vmm_zygote_pid(zygote);
        assert_int_equal(fork_one(PATIENCE, &msec), ERR_TIMEOUT);
        assert_in_range(msec, 0, MUCH_LONGER);
        begin = now_msec();
        for (int i = 0; i < 2 * MUCH_LONGER / PATIENCE; i++)
                assert_int_equal(fork_one(PATIENCE, &msec), ERR_TIMEOUT);
        assert_in_range(now_msec() - begin, 0, MUCH_LONGER);
        assert_int_equal(vmm_zygote_ask(zygote, &spare, never, NULL, &fd, &err), ERR_TIMEOUT);
        assert_int_equal(kill(pid, SIGCONT), 0);
        assert_int_equal(fork_one(VMM_ZYGOTE_WARM_MSEC, &msec), 0);
        assert_int_equal(vmm_zygote_pid(zygote), pid);
}

static void one_that_hangs_is_replaced(void **state)
{
        uint64_t msec;
        pid_t pid;

        (void)state;
        assert_int_equal(fork_one(VMM_ZYGOTE_WARM_MSEC, &msec), 0);
        stop_it();
        pid = vmm_zygote_pid(zygote);
        assert_int_equal(fork_one(VMM_ZYGOTE_WARM_MSEC, &msec), 0);
        assert_true(msec >= VMM_ZYGOTE_ANSWER_MSEC);
        assert_int_not_equal(vmm_zygote_pid(zygote), pid);
}

static void one_that_dies_as_it_warms_up_is_replaced(void **state)
{
        struct err err = {0};
        uint64_t msec;
        pid_t pid;

        (void)state;
        assert_ok(vmm_zygote_warm(zygote, &err), &err);
        pid = vmm_zygote_pid(zygote);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(fork_one(VMM_ZYGOTE_WARM_MSEC, &msec), 0);
        assert_int_not_equal(vmm_zygote_pid(zygote), pid);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(one_that_warms_up_has_its_time, set_up, tear_down),
            cmocka_unit_test_setup_teardown(one_that_hangs_is_replaced, set_up, tear_down),
            cmocka_unit_test_setup_teardown(one_that_dies_as_it_warms_up_is_replaced, set_up,
                                            tear_down),
        };

        return cmocka_run_group_tests_name("vmm-zygote", tests, NULL, NULL);
}
