#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/test.h"
#include "supervisor/process.h"

static void tells_how_a_child_stands(void **state)
{
        int status;
        pid_t pid = fork();

        (void)state;
        assert_true(pid >= 0);
        if (pid == 0) {
                /* A name that looks like the end of one. */
                (void)prctl(PR_SET_NAME, "a) D (b");
                (void)raise(SIGSTOP);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
        assert_true(WIFSTOPPED(status));
        assert_int_equal(process_state(pid), 'T');
        assert_string_equal(process_state_words('T'), "somebody stopped it");
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
        assert_int_equal(process_state(pid), 'Z');
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(process_state(pid), '?');
        assert_non_null(strstr(process_state_words('?'), "does not say"));
        assert_int_equal(process_state(getpid()), 'R');
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(tells_how_a_child_stands),
        };

        return cmocka_run_group_tests_name("supervisor-process", tests, NULL, NULL);
}
