/*
 * What is made when nobody wants anything: the other keys of vTPMs, and vTPMs for the pool.
 */
#include <sys/socket.h>
#include <time.h>

#include "base/fd.h"
#include "tcb/pool.h"
#include "tcb/test-tcb.h"
#include "tpmwire/ek.h"

#define ALL_KEYS ((1U << TPM_EK_COUNT) - 1)
#define RSA      (1U << TPM_EK_RSA2048)

static struct tcb *tcb;
static bool failing;

int __real_store_update_instance(struct store *store, enum store_state state,
                                 const struct security_block *block, struct err *err);
int __wrap_store_update_instance(struct store *store, enum store_state state,
                                 const struct security_block *block, struct err *err);

int __wrap_store_update_instance(struct store *store, enum store_state state,
                                 const struct security_block *block, struct err *err)
{
        return failing ? err_set(err, ERR_IO, "scripted")
                       : __real_store_update_instance(store, state, block, err);
}

/* The quiet time before anything is made goes by faster. */
#define QUIET_USEC 2000000
#define SHORT_USEC 50000

int __real_sd_event_source_set_time_relative(sd_event_source *source, uint64_t usec);
int __wrap_sd_event_source_set_time_relative(sd_event_source *source, uint64_t usec);

int __wrap_sd_event_source_set_time_relative(sd_event_source *source, uint64_t usec)
{
        return __real_sd_event_source_set_time_relative(source,
                                                        usec == QUIET_USEC ? SHORT_USEC : usec);
}

static int tear_down(void **state)
{
        (void)state;
        failing = false;
        tcb_close(tcb);
        return 0;
}

static struct instance *make(const char *name, uint8_t eks)
{
        struct err failure = {0};
        struct instance *instance = test_tcb_create(tcb, name, eks, &failure);

        assert_ok(failure.code, &failure);
        assert_non_null(instance);
        return instance;
}

/* Until the condition holds; its turns are at most a second long each. */
#define RUN_UNTIL(condition)                                                                       \
        for (unsigned turns = 0; !(condition); turns++) {                                          \
                assert_true(turns < 100000);                                                       \
                assert_true(sd_event_run(tcb->event, 1000000) >= 0);                               \
        }

/* Or given up. */
static bool is_complete(const struct instance *instance)
{
        return instance->later == 0 && instance->sm.state == INSTANCE_IDLE;
}

static void the_other_keys_come_by_themselves(void **state)
{
        struct instance *first;
        struct instance *second;

        (void)state;
        tcb = test_tcb_open(0);
        first = make("first", 0);
        second = make("second", 0);
        assert_int_equal(first->later, RSA);
        RUN_UNTIL(is_complete(first) && is_complete(second));
        assert_int_equal(first->stored.block.n_ek, 2);
        assert_int_equal(second->stored.block.n_ek, 2);
}

static void on_started(void *user, const struct err *err)
{
        bool *started = user;

        assert_null(err);
        *started = true;
}

/* Whose time comes while it is in use is not forgotten. */
static void one_in_use_gets_its_keys_later(void **state)
{
        static const struct instance_user user_ops = {.started = on_started};
        const uint64_t until_usec = (uint64_t)5 * SHORT_USEC;
        struct instance *used;
        struct err err = {0};
        bool started = false;
        uint64_t begin = 0;
        uint64_t now = 0;
        int pair[2];

        (void)state;
        tcb = test_tcb_open(0);
        used = make("used", 0);
        assert_ok(fd_socketpair(SOCK_STREAM, pair, &err), &err);
        assert_ok(instance_start(used, pair[1], &user_ops, &started, &err), &err);
        test_tcb_run(tcb, &started);
        assert_int_equal(sd_event_now(tcb->event, CLOCK_MONOTONIC, &begin), 0);
        for (now = begin; now < begin + until_usec;) {
                assert_true(sd_event_run(tcb->event, SHORT_USEC) >= 0);
                assert_int_equal(sd_event_now(tcb->event, CLOCK_MONOTONIC, &now), 0);
        }
        assert_int_equal(used->later, RSA);
        instance_stop(used);
        RUN_UNTIL(is_complete(used));
        assert_int_equal(used->stored.block.n_ek, 2);
        fd_close(&pair[0]);
        fd_close(&pair[1]);
}

/* D-EIO: one that fails is left alone until the next start, and does not keep the others. */
static void what_fails_waits_for_the_next_start(void **state)
{
        struct instance *fails;
        struct instance *succeeds;

        (void)state;
        tcb = test_tcb_open(0);
        fails = make("fails", 0);
        failing = true;
        RUN_UNTIL(is_complete(fails));
        assert_int_equal(fails->stored.block.n_ek, 1);
        failing = false;
        succeeds = make("succeeds", 0);
        RUN_UNTIL(is_complete(succeeds));
        assert_int_equal(succeeds->stored.block.n_ek, 2);
        assert_int_equal(fails->stored.block.n_ek, 1);
        tcb_close(tcb);
        tcb = test_tcb_open(0);
        assert_int_equal(tcb_find_instance(tcb, "fails", &fails, &(struct err){0}), 0);
        assert_int_equal(fails->later, RSA);
        RUN_UNTIL(is_complete(fails));
        assert_int_equal(fails->stored.block.n_ek, 2);
}

#define NAME_LEN 34 /* of a key: hash algorithm and SHA-256 */

static void the_pool_is_filled_and_refilled(void **state)
{
        uint8_t made[2][NAME_LEN];
        struct instance_host *host;
        struct instance *taken;
        size_t n = 0;
        uint8_t ek[1024];

        (void)state;
        tcb = test_tcb_open(2);
        host = &tcb->instance_host;
        RUN_UNTIL(host->n_pool == 2);
        for (const struct instance *i = host->pool; i != NULL; i = i->next)
                memcpy(made[n++], i->stored.block.ek[0].data, NAME_LEN);
        taken = make("taken", ALL_KEYS);
        assert_int_equal(taken->stored.block.n_ek, TPM_EK_COUNT);
        assert_true(memcmp(taken->stored.block.ek[0].data, made[0], NAME_LEN) == 0 ||
                    memcmp(taken->stored.block.ek[0].data, made[1], NAME_LEN) == 0);
        memcpy(ek, taken->ek_pub, sizeof(ek));
        RUN_UNTIL(host->n_pool == 2 && host->pool_taken == NULL);
        /* What is left of the pool is there after a start, and nobody's name. */
        tcb_close(tcb);
        tcb = test_tcb_open(2);
        assert_int_equal(tcb->instance_host.n_pool, 2);
        for (const struct instance *i = tcb->instances.first; i != NULL; i = i->next)
                assert_false(pool_is_name(i->stored.name));
        assert_int_equal(tcb_find_instance(tcb, "taken", &taken, &(struct err){0}), 0);
        assert_memory_equal(taken->ek_pub, ek, taken->ek_pub_len);
        for (const struct instance *i = tcb->instance_host.pool; i != NULL; i = i->next)
                assert_memory_not_equal(i->stored.block.ek[0].data, taken->stored.block.ek[0].data,
                                        NAME_LEN);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_teardown(the_other_keys_come_by_themselves, tear_down),
            cmocka_unit_test_teardown(one_in_use_gets_its_keys_later, tear_down),
            cmocka_unit_test_teardown(what_fails_waits_for_the_next_start, tear_down),
            cmocka_unit_test_teardown(the_pool_is_filled_and_refilled, tear_down),
        };

        return cmocka_run_group_tests_name("tcb-complete", tests, NULL, NULL);
}
