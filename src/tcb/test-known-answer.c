/*
 * The known-answer test with the real engine: it passes with what is recorded, and fails closed
 * with every record that differs.
 */
#include <stdlib.h>

#include "base/hex.h"
#include "lib/test.h"
#include "tcb/known-answer.h"

static int run(const struct profile *profile, struct err *err)
{
        char path[4096];
        const char *build = getenv("CATENA_BUILD");
        struct engine_host_request request = {.path = path, .uid = 720001};
        struct known_answer *test = NULL;
        int rc;

        (void)snprintf(path, sizeof(path), "%s/catena-vtpm", build != NULL ? build : ".");
        assert_true(sd_event_new(&request.event) >= 0);
        assert_ok(known_answer_start(&request, profile, &test, err), err);
        assert_int_equal(known_answer_check(test, err), ERR_CONFLICT);
        do {
                assert_true(sd_event_run(request.event, UINT64_C(60000000)) > 0);
                rc = known_answer_check(test, err);
        } while (rc == ERR_CONFLICT);
        known_answer_free(test);
        sd_event_unref(request.event);
        return rc;
}

static void passes_with_what_is_recorded(void **state)
{
        struct err err = {0};

        (void)state;
        assert_ok(run(&profile_known, &err), &err);
}

static void fails_with_other_keys(void **state)
{
        (void)state;
        for (unsigned kind = 0; kind < TPM_EK_COUNT; kind++) {
                struct profile other = profile_known;
                struct err err = {0};
                char name[2 * TPM_NAME_MAX + 1];

                (void)snprintf(name, sizeof(name), "%s", profile_known.names[kind]);
                name[10] = name[10] == '0' ? '1' : '0';
                other.names[kind] = name;
                assert_int_equal(run(&other, &err), ERR_UNSUPPORTED);
                assert_non_null(strstr(err.text, tpm_ek((enum tpm_ek_kind)kind)->name));
        }
}

static void fails_with_another_library(void **state)
{
        struct profile other = profile_known;
        struct err err = {0};

        (void)state;
        other.text = "libtpms 0.10.0, algorithms 627c94dc, templates tcg-ek-2.4";
        assert_int_equal(run(&other, &err), ERR_UNSUPPORTED);
        assert_non_null(strstr(err.text, "0.10.0"));
}

/* D-EIO: an engine that does not come up is no pass. */
static void fails_without_an_engine(void **state)
{
        struct engine_host_request request = {.path = "/bin/false", .uid = 720001};
        struct known_answer *test = NULL;
        struct err err = {0};
        int rc;

        (void)state;
        assert_true(sd_event_new(&request.event) >= 0);
        assert_ok(known_answer_start(&request, &profile_known, &test, &err), &err);
        /* It ends before or after it is told what to make. */
        while ((rc = known_answer_check(test, &err)) == ERR_CONFLICT)
                assert_true(sd_event_run(request.event, UINT64_C(60000000)) > 0);
        assert_int_equal(rc, ERR_UNSUPPORTED);
        known_answer_free(test);
        sd_event_unref(request.event);
}

/* Another seed, or the seed for another vTPM, gives other bytes; the same gives the same. */
static void seeds_are_for_one_vtpm(void **state)
{
        static const uint8_t uuids[2][BLOCK_UUID_LEN] = {{1}, {2}};
        struct secret AUTO_SECRET *base = NULL;
        struct secret AUTO_SECRET *one = NULL;
        struct secret AUTO_SECRET *again = NULL;
        struct secret AUTO_SECRET *other = NULL;
        struct secret AUTO_SECRET *changed = NULL;
        struct err err = {0};

        (void)state;
        assert_ok(secret_new(PROFILE_BASE_SEED_SIZE, &base, &err), &err);
        assert_ok(profile_seed(base, uuids[0], &one, &err), &err);
        assert_ok(profile_seed(base, uuids[0], &again, &err), &err);
        assert_ok(profile_seed(base, uuids[1], &other, &err), &err);
        base->data[31] = 1;
        assert_ok(profile_seed(base, uuids[0], &changed, &err), &err);
        assert_int_equal(one->len, ENGINE_SEED_SIZE);
        assert_memory_equal(one->data, again->data, one->len);
        assert_memory_not_equal(one->data, other->data, one->len);
        assert_memory_not_equal(one->data, changed->data, one->len);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(passes_with_what_is_recorded),
            cmocka_unit_test(fails_with_other_keys),
            cmocka_unit_test(fails_with_another_library),
            cmocka_unit_test(fails_without_an_engine),
            cmocka_unit_test(seeds_are_for_one_vtpm),
        };
        return cmocka_run_group_tests_name("known-answer", tests, NULL, NULL);
}
