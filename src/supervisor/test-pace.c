#include "lib/test.h"
#include "supervisor/pace.h"

static void gives_up_after_quick_deaths(void **state)
{
        struct pace pace = {0};
        int before = 0;

        (void)state;
        assert_int_equal(pace_after_death(&pace, 0), 0);
        for (int i = 1; i < PACE_DEATHS_MAX; i++) {
                int pause = pace_after_death(&pace, PACE_QUICK_MSEC - 1);

                assert_true(pause >= before);
                before = pause;
        }
        assert_true(before >= 1000);
        assert_int_equal(pace_after_death(&pace, 0), -1);
}

static void forgives_who_served(void **state)
{
        struct pace pace = {0};

        (void)state;
        for (int i = 0; i < 10 * PACE_DEATHS_MAX; i++)
                assert_int_equal(pace_after_death(&pace, PACE_QUICK_MSEC), 0);
        for (int i = 1; i < PACE_DEATHS_MAX; i++)
                assert_true(pace_after_death(&pace, 0) >= 0);
        assert_int_equal(pace_after_death(&pace, PACE_QUICK_MSEC), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(gives_up_after_quick_deaths),
            cmocka_unit_test(forgives_who_served),
        };

        return cmocka_run_group_tests_name("supervisor-pace", tests, NULL, NULL);
}
