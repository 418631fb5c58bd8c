/*
 * Keys of vTPMs with real engines: what is durable when, and what is left when it fails half way.
 * The store's last step of a making, store_update_instance(), fails when a test wants it to.
 */
#include <signal.h>
#include <stdlib.h>

#include "tcb/making.h"
#include "tcb/profile.h"
#include "tcb/test-tcb.h"

#define ALL_KEYS  ((1U << TPM_EK_COUNT) - 1)
#define P256      (1U << TPM_EK_P256)
#define SAVES_MAX 64

static unsigned failing; /* this many updates more */
static struct tcb *tcb;

int __real_store_update_instance(struct store *store, enum store_state state,
                                 const struct security_block *block, struct err *err);
int __wrap_store_update_instance(struct store *store, enum store_state state,
                                 const struct security_block *block, struct err *err);

int __wrap_store_update_instance(struct store *store, enum store_state state,
                                 const struct security_block *block, struct err *err)
{
        if (failing > 0) {
                failing--;
                return err_set(err, ERR_IO, "scripted");
        }
        return __real_store_update_instance(store, state, block, err);
}

static int set_up(void **state)
{
        (void)state;
        failing = 0;
        tcb = test_tcb_open(0);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        tcb_close(tcb);
        return 0;
}

static void reopen(void)
{
        tcb_close(tcb);
        tcb = test_tcb_open(0);
}

static struct instance *find(const char *name)
{
        struct instance *instance = NULL;
        struct err err = {0};

        assert_ok(tcb_find_instance(tcb, name, &instance, &err), &err);
        return instance;
}

static bool has_ek(struct instance *instance, enum tpm_ek_kind kind)
{
        uint8_t AUTO_FREE *data = NULL;
        struct err err = {0};
        size_t len = 0;
        int rc = making_get_ek(instance, kind, &data, &len, &err);

        assert_true(rc == 0 || rc == ERR_NOT_FOUND);
        return rc == 0;
}

/* Names in the block, public areas in records: as many, and no two the same. */
static void has_keys(struct instance *instance, unsigned wanted)
{
        const struct security_block *block = &instance->stored.block;

        assert_int_equal(block->n_ek, __builtin_popcount(wanted));
        for (unsigned kind = 0; kind < TPM_EK_COUNT; kind++)
                assert_int_equal(has_ek(instance, (enum tpm_ek_kind)kind), (wanted >> kind) & 1);
        for (size_t i = 1; i < block->n_ek; i++)
                assert_memory_not_equal(block->ek[i].data, block->ek[i - 1].data, 34);
}

static struct instance *make(const char *name, uint8_t eks)
{
        struct err failure = {0};
        struct instance *instance = test_tcb_create(tcb, name, eks, &failure);

        assert_ok(failure.code, &failure);
        assert_non_null(instance);
        assert_null(instance->engine);
        assert_null(instance->making);
        assert_int_equal(instance->sm.state, INSTANCE_IDLE);
        return instance;
}

static void what_was_told_is_durable(void **state)
{
        static const struct {
                const char *name;
                uint8_t eks;
                unsigned keys;
                uint8_t later;
        } rows[] = {
            {"one", P256, P256, 0},
            {"all", ALL_KEYS, ALL_KEYS, 0},
            {"more-later", 0, P256, 1U << TPM_EK_RSA2048},
        };
        uint8_t ek[ARRAY_SIZE(rows)][1024] = {0};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct instance *instance = make(rows[i].name, rows[i].eks);

                memcpy(ek[i], instance->ek_pub, instance->ek_pub_len);
        }
        reopen();
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct instance *instance = find(rows[i].name);

                has_keys(instance, rows[i].keys);
                assert_int_equal(instance->later, rows[i].later);
                assert_int_equal(instance->stored.state, STORE_STATE_INITIALISED);
                assert_string_equal(instance->stored.block.profile, profile_known.text);
                assert_memory_equal(instance->ek_pub, ek[i], instance->ek_pub_len);
        }
}

/* ---- more keys ---- */

struct completion {
        bool done;
        struct err failure;
};

static void on_completed(void *user, const struct err *failure)
{
        struct completion *completion = user;

        completion->done = true;
        if (failure != NULL)
                completion->failure = *failure;
}

static struct err complete_keys(struct instance *instance)
{
        struct completion completion = {.done = false};
        struct err err = {0};

        assert_ok(making_complete(instance, on_completed, &completion, &err), &err);
        test_tcb_run(tcb, &completion.done);
        assert_null(instance->engine);
        assert_null(instance->making);
        assert_int_equal(instance->sm.state, INSTANCE_IDLE);
        return completion.failure;
}

static void more_keys_are_made_later(void **state)
{
        struct instance *instance = make("later", 0);
        struct err failure = complete_keys(instance);

        (void)state;
        assert_ok(failure.code, &failure);
        assert_int_equal(instance->later, 0);
        has_keys(instance, P256 | 1U << TPM_EK_RSA2048);
        reopen();
        assert_int_equal(find("later")->later, 0);
        has_keys(find("later"), P256 | 1U << TPM_EK_RSA2048);
}

/* D-EIO: what is in the transaction already may become durable; the next attempt ends it. */
static void a_failure_half_way_is_made_good(void **state)
{
        struct instance *instance = make("half", 0);
        struct err failure;

        (void)state;
        failing = 1;
        failure = complete_keys(instance);
        assert_int_equal(failure.code, ERR_IO);
        assert_int_equal(instance->stored.block.n_ek, 1);
        assert_int_not_equal(instance->later, 0);
        failure = complete_keys(instance);
        assert_ok(failure.code, &failure);
        has_keys(instance, P256 | 1U << TPM_EK_RSA2048);
        reopen();
        has_keys(find("half"), P256 | 1U << TPM_EK_RSA2048);
}

static void the_next_start_makes_it_good_too(void **state)
{
        struct instance *instance = make("next-start", 0);
        struct err failure;

        (void)state;
        failing = 1;
        failure = complete_keys(instance);
        assert_int_equal(failure.code, ERR_IO);
        reopen();
        instance = find("next-start");
        assert_int_equal(instance->stored.block.n_ek, 1);
        assert_int_equal(instance->later, 1U << TPM_EK_RSA2048);
        failure = complete_keys(instance);
        assert_ok(failure.code, &failure);
        has_keys(instance, P256 | 1U << TPM_EK_RSA2048);
}

static void whoever_wants_it_ends_the_making(void **state)
{
        struct instance *instance = make("wanted", 0);
        struct completion completion = {.done = false};
        struct err failure = {0};

        (void)state;
        assert_ok(making_complete(instance, on_completed, &completion, &failure), &failure);
        instance_interrupt_making(instance);
        assert_true(completion.done);
        assert_int_equal(completion.failure.code, ERR_INTERRUPTED);
        assert_int_equal(instance->sm.state, INSTANCE_IDLE);
        has_keys(instance, P256);
        failure = complete_keys(instance);
        assert_ok(failure.code, &failure);
        has_keys(instance, P256 | 1U << TPM_EK_RSA2048);
}

/* ---- none at all ---- */

static void nothing_is_left_of(const char *name)
{
        struct store_instance stored;
        struct instance *instance = NULL;
        struct err err = {0};

        assert_int_equal(tcb_find_instance(tcb, name, &instance, &err), ERR_NOT_FOUND);
        assert_int_equal(store_find_instance(tcb->store, name, &stored, &err), ERR_NOT_FOUND);
        has_keys(make(name, P256), P256);
}

/* The name is free, and nothing is found at the next start. */
static void a_creation_that_fails_leaves_nothing(void **state)
{
        struct err failure = {0};

        (void)state;
        failing = 1;
        assert_null(test_tcb_create(tcb, "new", ALL_KEYS, &failure));
        assert_int_equal(failure.code, ERR_IO);
        reopen();
        nothing_is_left_of("new");
}

static void do_nothing(void *user, const struct err *failure)
{
        bool *done = user;

        *done = failure != NULL;
}

static const struct instance_user nobody = {.started = do_nothing};

static struct instance *begin(const char *name, bool *ret_failed)
{
        const uint8_t uuid[BLOCK_UUID_LEN] = {(uint8_t)name[0]};
        const struct instance_request request = {.name = name, .uuid = uuid, .eks = ALL_KEYS};
        struct instance *instance = NULL;
        struct err err = {0};

        assert_ok(
            instance_create(&tcb->instance_host, &request, &nobody, ret_failed, &instance, &err),
            &err);
        return instance;
}

static void an_engine_that_dies_leaves_nothing(void **state)
{
        bool failed = false;
        struct instance *instance = begin("dies", &failed);

        (void)state;
        assert_int_equal(kill(engine_host_pid(instance->engine), SIGKILL), 0);
        test_tcb_run(tcb, &failed);
        assert_int_equal(instance->sm.state, INSTANCE_GONE);
        instance_free(instance);
        nothing_is_left_of("dies");
}

/* An engine that saves and saves is cut off: nothing throttles it while it makes keys. */
static void saves_have_an_end(void **state)
{
        static const uint8_t blob[] = "state";
        bool failed = false;
        struct instance *instance = begin("saves", &failed);
        struct engine_persist persist = {.kind = ENGINE_BLOB_PERMANENT,
                                         .blob = {blob, sizeof(blob)}};
        struct err err = {0};

        (void)state;
        for (persist.sequence = 1; persist.sequence <= SAVES_MAX; persist.sequence++)
                assert_ok(making_persist(instance, &persist, &err), &err);
        assert_int_equal(making_persist(instance, &persist, &err), ERR_MALFORMED);
        test_tcb_run(tcb, &failed);
        assert_int_equal(instance->sm.state, INSTANCE_GONE);
        instance_free(instance);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(what_was_told_is_durable, set_up, tear_down),
            cmocka_unit_test_setup_teardown(more_keys_are_made_later, set_up, tear_down),
            cmocka_unit_test_setup_teardown(a_failure_half_way_is_made_good, set_up, tear_down),
            cmocka_unit_test_setup_teardown(the_next_start_makes_it_good_too, set_up, tear_down),
            cmocka_unit_test_setup_teardown(whoever_wants_it_ends_the_making, set_up, tear_down),
            cmocka_unit_test_setup_teardown(a_creation_that_fails_leaves_nothing, set_up,
                                            tear_down),
            cmocka_unit_test_setup_teardown(an_engine_that_dies_leaves_nothing, set_up, tear_down),
            cmocka_unit_test_setup_teardown(saves_have_an_end, set_up, tear_down),
        };

        return cmocka_run_group_tests_name("tcb-making", tests, NULL, NULL);
}
