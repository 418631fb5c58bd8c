#include "tcb/descriptors.h"

#include <sys/resource.h>

#include "lib/test.h"

/* G-GUEST: what runs must never be short of them, however many are started. */
static void leaves_a_reserve(void **state)
{
        static const struct {
                size_t limit;
                size_t vtpms;
        } rows[] = {
            {1024, 384},
            {4096, 1536},
            {20000, 8976},
            {1048576, 523264},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct descriptors descriptors = {.limit = rows[i].limit};
                struct err err = {0};

                assert_int_equal(descriptors_vtpms(&descriptors), rows[i].vtpms);
                for (size_t n = 0; n < rows[i].vtpms; n++)
                        assert_ok(descriptors_take(&descriptors, DESCRIPTORS_VTPM, &err), &err);
                assert_int_equal(descriptors_take(&descriptors, DESCRIPTORS_VTPM, &err), ERR_LIMIT);
                assert_non_null(strstr(err.hint, "LimitNOFILE"));
                assert_int_equal(descriptors.taken, rows[i].vtpms * DESCRIPTORS_VTPM);
                descriptors_give(&descriptors, DESCRIPTORS_VTPM);
                assert_ok(descriptors_take(&descriptors, DESCRIPTORS_VTPM, &err), &err);
                assert_int_equal(descriptors_take(&descriptors, 1, &err), ERR_LIMIT);
        }
}

static void refuses_what_never_fits(void **state)
{
        struct descriptors descriptors = {.limit = 8};
        struct err err = {0};

        (void)state;
        assert_int_equal(descriptors_take(&descriptors, DESCRIPTORS_VM, &err), ERR_LIMIT);
        assert_int_equal(descriptors.taken, 0);
}

static void takes_the_process_at_its_word(void **state)
{
        struct descriptors descriptors;
        struct rlimit files;

        (void)state;
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
        files.rlim_cur = 128;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
        descriptors_init(&descriptors);
        assert_int_equal(descriptors.limit, 128);
        descriptors_raise();
        descriptors_init(&descriptors);
        assert_true(descriptors.limit == files.rlim_max || descriptors.limit == 1U << 20);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(leaves_a_reserve),
            cmocka_unit_test(refuses_what_never_fits),
            cmocka_unit_test(takes_the_process_at_its_word),
        };

        return cmocka_run_group_tests_name("tcb-descriptors", tests, NULL, NULL);
}
