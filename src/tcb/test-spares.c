/*
 * Spare engines of a real zygote: how many, what they have of their own, and that no dead one is
 * handed out.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "lib/test.h"
#include "tcb/instance.h"
#include "tcb/spares.h"
#include "vmm/zygote.h"

#define SPARES    3
#define TURNS_MAX 1000

static struct tcb_config config;
static struct instance_host host;

static int set_up(void **state)
{
        struct err err = {0};
        char path[PATH_MAX];

        (void)state;
        config = (struct tcb_config){.uid_base = 720000, .spares = SPARES, .engine_nice = 1};
        host = (struct instance_host){.config = &config};
        (void)snprintf(path, sizeof(path), "%s/catena-vtpm", getenv("CATENA_BUILD"));
        assert_int_equal(sd_event_new(&host.event), 0);
        assert_ok(vmm_zygote_new(path, &host.zygote, &err), &err);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        spares_free(TAKE(host.spares));
        vmm_zygote_free(host.zygote);
        sd_event_unref(host.event);
        return 0;
}

/* Until all that are wanted are there. */
static void settle(void)
{
        for (int i = 0; spares_count(host.spares) < config.spares; i++) {
                assert_in_range(i, 0, TURNS_MAX);
                assert_true(sd_event_run(host.event, UINT64_MAX) > 0);
        }
}

static void open_spares(void)
{
        struct err err = {0};

        assert_ok(spares_new(&host, &host.spares, &err), &err);
        settle();
}

static void end(struct spare *spare)
{
        fd_close(&spare->core);
        spawn_kill(&spare->child);
}

static unsigned take_all(struct spare *ret_spares)
{
        unsigned n = 0;

        while (spares_take(host.spares, 1, &ret_spares[n]))
                assert_in_range(++n, 1, SPARES);
        return n;
}

static void each_is_somebody_of_its_own(void **state)
{
        struct spare spares[SPARES + 1];

        (void)state;
        open_spares();
        for (int round = 0; round < 2; round++) {
                assert_int_equal(take_all(spares), SPARES);
                for (int i = 0; i < SPARES; i++) {
                        const struct spare *a = &spares[i];
                        const struct spare *b = &spares[(i + 1) % SPARES];

                        assert_int_equal(kill(a->child.pid, 0), 0);
                        assert_int_not_equal(a->child.pid, b->child.pid);
                        assert_int_not_equal(a->uid, b->uid);
                        assert_int_not_equal(a->core, b->core);
                }
                for (int i = 0; i < SPARES; i++)
                        end(&spares[i]);
                settle(); /* they are replaced */
        }
}

/* All children but the zygote, which only then have ended. */
static unsigned kill_spares(void)
{
        uint8_t AUTO_FREE *text = NULL;
        struct err err = {0};
        unsigned n = 0;
        char *at;
        size_t len;

        assert_ok(fs_read_file("/proc/thread-self/children", 4096, &text, &len, &err), &err);
        at = (char *)text;
        for (long pid = strtol(at, &at, 10); pid > 0; pid = strtol(at, &at, 10)) {
                siginfo_t info;

                if (pid == vmm_zygote_pid(host.zygote))
                        continue;
                assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
                assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
                n++;
        }
        return n;
}

static void a_dead_one_is_not_handed_out(void **state)
{
        struct spare spares[SPARES + 1];

        (void)state;
        open_spares();
        assert_int_equal(kill_spares(), SPARES);
        assert_int_equal(take_all(spares), 0);
        settle();
        assert_int_equal(take_all(spares), SPARES);
        for (int i = 0; i < SPARES; i++)
                end(&spares[i]);
}

static void wait_until_warm(void)
{
        assert_int_equal(usleep(2 * SPARES_WARM_USEC), 0);
}

/* Its memory is near; but one that may still be at its rehearsal is left. */
static void the_newest_warm_one_is_taken_first(void **state)
{
        struct spare first;
        struct spare spares[SPARES + 1];

        (void)state;
        open_spares();
        wait_until_warm();
        assert_int_equal(take_all(spares), SPARES);
        for (int i = 0; i < SPARES; i++) {
                assert_true(i == 0 || spares[i].uid < spares[i - 1].uid);
                end(&spares[i]);
        }
        settle();
        wait_until_warm();
        assert_true(spares_take(host.spares, 1, &first));
        settle(); /* it is replaced, by one that is not warm at once */
        assert_true(spares_take(host.spares, 1, &spares[0]));
        assert_true(spares[0].uid < first.uid);
        end(&spares[0]);
        end(&first);
}

/* Forking one takes as much of a processor as a wake, which would wait for it. */
static void replacing_them_waits_while_there_are_others(void **state)
{
        struct spare spares[SPARES + 1];

        (void)state;
        open_spares();
        assert_true(spares_take(host.spares, 1, &spares[0]));
        assert_int_equal(sd_event_run(host.event, 0), 0);
        assert_int_equal(spares_count(host.spares), SPARES - 1);
        settle();
        end(&spares[0]);
        assert_int_equal(take_all(spares), SPARES);
        assert_true(sd_event_run(host.event, UINT64_MAX) > 0);
        for (int i = 0; i < SPARES; i++)
                end(&spares[i]);
}

/* The zygote has been asked and has not answered yet. */
static void empty_and_ask(struct spare *ret_spares)
{
        assert_int_equal(take_all(ret_spares), SPARES);
        for (int i = 0; i < SPARES; i++)
                end(&ret_spares[i]);
        assert_true(sd_event_run(host.event, UINT64_MAX) > 0);
        assert_int_equal(spares_count(host.spares), 0);
}

static void one_that_is_on_its_way_is_waited_for(void **state)
{
        struct spare spares[SPARES + 1];

        (void)state;
        open_spares();
        empty_and_ask(spares);
        assert_int_equal(take_all(spares), 1);
        end(&spares[0]);
        settle();
}

/* Whoever asks the zygote himself meanwhile gets his own, and this one is kept. */
static void a_fork_in_between_gets_its_own(void **state)
{
        struct vmm_zygote_request request = {
            .uid = 719999, .control = -1, .patience_msec = VMM_ZYGOTE_WARM_MSEC};
        struct spawn_child child;
        struct spare spares[SPARES + 1];
        struct err err = {0};
        int core[2];

        (void)state;
        open_spares();
        empty_and_ask(spares);
        assert_ok(fd_socketpair(SOCK_SEQPACKET, core, &err), &err);
        request.core = core[1];
        assert_ok(vmm_zygote_fork(host.zygote, &request, &child, &err), &err);
        assert_int_equal(spares_count(host.spares), 1);
        assert_true(spares_take(host.spares, 1, &spares[0]));
        assert_int_not_equal(spares[0].child.pid, child.pid);
        end(&spares[0]);
        fd_close(&core[0]);
        fd_close(&core[1]);
        spawn_kill(&child);
}

/* None comes of it, and the next zygote makes others. */
static void a_zygote_that_dies_is_not_waited_for(void **state)
{
        struct spare spares[SPARES + 1];
        struct spare spare;

        (void)state;
        open_spares();
        assert_int_equal(kill(vmm_zygote_pid(host.zygote), SIGSTOP), 0);
        empty_and_ask(spares);
        assert_int_equal(kill(vmm_zygote_pid(host.zygote), SIGKILL), 0);
        assert_false(spares_take(host.spares, 1, &spare));
        settle();
        assert_int_equal(take_all(spares), SPARES);
        for (int i = 0; i < SPARES; i++)
                end(&spares[i]);
}

static void nobody_gets_one_that_is_not_as_nice(void **state)
{
        struct spare spare;

        (void)state;
        open_spares();
        assert_false(spares_take(host.spares, 0, &spare));
        assert_true(spares_take(host.spares, 1, &spare));
        end(&spare);
}

static void none_are_made_where_none_are_wanted(void **state)
{
        struct spare spare;

        (void)state;
        config.spares = 0;
        open_spares();
        assert_false(spares_take(host.spares, 1, &spare));
        assert_int_equal(sd_event_run(host.event, 0), 0);
        assert_int_equal(vmm_zygote_pid(host.zygote), 0);
}

/* Nothing of it remains. */
static void all_end_with_it(void **state)
{
        (void)state;
        open_spares();
        spares_free(TAKE(host.spares));
        assert_int_equal(kill_spares(), 0);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
            ROW(each_is_somebody_of_its_own),
            ROW(a_dead_one_is_not_handed_out),
            ROW(the_newest_warm_one_is_taken_first),
            ROW(replacing_them_waits_while_there_are_others),
            ROW(one_that_is_on_its_way_is_waited_for),
            ROW(a_fork_in_between_gets_its_own),
            ROW(a_zygote_that_dies_is_not_waited_for),
            ROW(nobody_gets_one_that_is_not_as_nice),
            ROW(none_are_made_where_none_are_wanted),
            ROW(all_end_with_it),
        };
        return cmocka_run_group_tests_name("tcb-spares", tests, NULL, NULL);
}
