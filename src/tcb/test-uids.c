/* User ids are not given out while a process has them. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/test.h"
#include "tcb/uids.h"

#define BASE 730000

/* A process with this user id, which waits to be killed. */
static pid_t hold(uid_t uid)
{
        int ready[2];
        char byte;
        pid_t pid;

        assert_int_equal(pipe(ready), 0);
        pid = fork();
        if (pid == 0) {
                if (setresuid(uid, uid, uid) == 0)
                        (void)!write(ready[1], "x", 1);
                (void)close(ready[1]);
                for (;;)
                        (void)pause();
        }
        assert_true(pid > 0);
        (void)close(ready[1]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        (void)close(ready[0]);
        return pid;
}

static void end(pid_t pid)
{
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void they_are_given_one_after_the_other(void **state)
{
        struct uids uids = {.base = BASE};

        (void)state;
        assert_int_equal(uids_next(&uids), BASE + 2);
        assert_int_equal(uids_next(&uids), BASE + 3);
}

/* The attack: start vTPMs until a long-lived QEMU's number comes round again. */
static void what_a_process_has_is_left_out(void **state)
{
        struct uids uids = {.base = BASE, .last = UIDS_MAX - 2};
        pid_t last;
        pid_t first;

        (void)state;
        if (geteuid() != 0)
                skip();
        last = hold(BASE + UIDS_MAX);
        first = hold(BASE + 1);
        assert_int_equal(uids_next(&uids), BASE + 2);
        end(last);
        uids.last = UIDS_MAX - 2;
        assert_int_equal(uids_next(&uids), BASE + UIDS_MAX);
        end(first);
        assert_int_equal(uids_next(&uids), BASE + 1);
}

static void those_of_the_tcb_before_are_behind(void **state)
{
        struct uids uids = {.base = BASE};

        (void)state;
        uids_note(&uids, BASE + 100);
        uids_note(&uids, BASE + 50);
        uids_note(&uids, BASE - 1);
        uids_note(&uids, BASE);
        uids_note(&uids, BASE + 1 + UIDS_MAX);
        assert_int_equal(uids_next(&uids), BASE + 101);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(they_are_given_one_after_the_other),
            cmocka_unit_test(what_a_process_has_is_left_out),
            cmocka_unit_test(those_of_the_tcb_before_are_behind),
        };
        return cmocka_run_group_tests_name("tcb-uids", tests, NULL, NULL);
}
