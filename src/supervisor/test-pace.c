#include "lib/test.h"
#include "supervisor/pace.h"

static void waits_ever_longer_and_never_gives_up(void **state)
{
        struct pace pace = {0};
        uint64_t before = 0;
        unsigned longest = 0;

        (void)state;
        assert_int_equal(pace_after_death(&pace, 0), 0);
        assert_false(pace_is_bad(&pace));
        for (int i = 0; i < 1000; i++) {
                uint64_t pause = pace_after_death(&pace, PACE_QUICK_MSEC - 1);

                assert_true(pause >= before && pause <= PACE_LONGEST);
                longest += pause == PACE_LONGEST;
                before = pause;
        }
        assert_true(longest > 900);
        assert_true(pace_is_bad(&pace));
}

/* The one that somebody kills once a second, or that dies of something that comes so often. */
static void one_that_serves_is_missed_no_longer_than_it_served(void **state)
{
        struct pace pace = {0};
        uint64_t served = PACE_QUICK_MSEC + 100;
        bool reached = false;

        (void)state;
        for (int i = 0; i < 100; i++) {
                uint64_t pause = pace_after_death(&pace, served);

                assert_true(pause <= served);
                reached = reached || pause == served;
        }
        assert_true(reached);
        assert_true(pace_is_bad(&pace));
        assert_int_equal(pace_after_death(&pace, PACE_GOOD_MSEC - 1), PACE_LONGEST);
}

static void forgives_who_served(void **state)
{
        struct pace pace = {0};

        (void)state;
        for (int i = 0; i < 100; i++)
                assert_int_equal(pace_after_death(&pace, PACE_GOOD_MSEC), 0);
        assert_false(pace_is_bad(&pace));
        for (int i = 0; i < 100; i++)
                (void)pace_after_death(&pace, 0);
        assert_true(pace_is_bad(&pace));
        assert_int_equal(pace_after_death(&pace, PACE_GOOD_MSEC), 0);
        assert_false(pace_is_bad(&pace));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(waits_ever_longer_and_never_gives_up),
            cmocka_unit_test(one_that_serves_is_missed_no_longer_than_it_served),
            cmocka_unit_test(forgives_who_served),
        };

        return cmocka_run_group_tests_name("supervisor-pace", tests, NULL, NULL);
}
