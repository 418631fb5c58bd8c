#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sm.h"
#include "lib/test.h"

enum { IDLE, RUNNING, GONE };

static const struct sm_state states[] = {
    [IDLE] = {"idle", SM_TO(RUNNING) | SM_TO(GONE)},
    [RUNNING] = {"running", SM_TO(IDLE)},
    [GONE] = {"gone", 0},
};

static void allows_what_the_table_allows(void **state)
{
        struct sm sm;

        (void)state;
        sm_init(&sm, "test", states, ARRAY_SIZE(states), IDLE, NULL);
        assert_true(sm_can_move(&sm, RUNNING));
        sm_move(&sm, RUNNING);
        assert_string_equal(sm_name(&sm), "running");
        assert_false(sm_can_move(&sm, GONE));
        assert_false(sm_can_move(&sm, 31));
        sm_move(&sm, IDLE);
        sm_move(&sm, GONE);
        assert_false(sm_can_move(&sm, IDLE));
}

static bool never_running(const struct sm *sm)
{
        return sm->state != RUNNING;
}

static int signal_of_move(bool (*invariant)(const struct sm *sm), unsigned first, unsigned second)
{
        int status = 0;
        pid_t pid = fork();

        if (pid == 0) {
                struct sm sm;

                (void)close(STDERR_FILENO);
                sm_init(&sm, "test", states, ARRAY_SIZE(states), IDLE, invariant);
                sm_move(&sm, first);
                sm_move(&sm, second);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void ends_the_process_on_our_bugs(void **state)
{
        (void)state;
        assert_int_equal(signal_of_move(NULL, RUNNING, IDLE), 0);
        assert_int_equal(signal_of_move(NULL, RUNNING, GONE), SIGABRT);
        assert_int_equal(signal_of_move(never_running, RUNNING, IDLE), SIGABRT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(allows_what_the_table_allows),
            cmocka_unit_test(ends_the_process_on_our_bugs),
        };
        return cmocka_run_group_tests_name("base-sm", tests, NULL, NULL);
}
