#include <stddef.h>

#include "lib/test.h"
#include "supervisor/watch.h"

#define END_MSEC 60000

/* Turns as they are due, one after the other, until this word, or until so much time has passed. */
static uint64_t turn_until(struct watch *watch, enum watch_word word, char state, uint64_t most)
{
        uint64_t passed = 0;

        while (passed < most) {
                const uint64_t step = watch_due(watch) - watch->seen;

                assert_true(step >= 250 && step <= 5000);
                passed += step;
                if (watch_turn(watch, watch_due(watch), state) == word)
                        return passed;
        }
        return most;
}

static struct watch serving(uint64_t end_msec)
{
        struct watch watch;

        watch_init(&watch, end_msec);
        watch_start(&watch, 1000);
        assert_int_equal(watch_answered(&watch, 2000), 0);
        return watch;
}

static void ends_one_that_is_silent(void **state)
{
        static const uint64_t bounds[] = {1000, 2000, END_MSEC, WATCH_END_SEC_MAX * UINT64_C(1000)};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bounds); i++) {
                struct watch watch = serving(bounds[i]);
                uint64_t passed = turn_until(&watch, WATCH_END, 'S', 2 * bounds[i]);

                assert_true(passed >= bounds[i] && passed <= bounds[i] + 5000);
                assert_int_equal(turn_until(&watch, WATCH_END, 'Z', bounds[i]), bounds[i]);
        }
}

static void a_word_in_time_is_enough(void **state)
{
        struct watch watch = serving(END_MSEC);

        (void)state;
        for (int i = 0; i < 100; i++) {
                assert_int_equal(turn_until(&watch, WATCH_END, 'R', END_MSEC - 5000),
                                 END_MSEC - 5000);
                assert_true(watch_answered(&watch, watch.seen) >= END_MSEC - 10000);
        }
}

static void warns_before_and_ever_more_rarely(void **state)
{
        struct watch watch = serving(0);
        unsigned warnings = 0;

        (void)state;
        assert_int_equal(turn_until(&watch, WATCH_WARN, 'S', END_MSEC), 10000);
        for (int i = 0; i < 1000; i++) {
                enum watch_word word = watch_turn(&watch, watch_due(&watch), 'S');

                assert_int_not_equal(word, WATCH_END); /* 0: never */
                warnings += word == WATCH_WARN;
        }
        assert_true(warnings >= 5 && warnings <= 10);
        assert_true(watch_answered(&watch, watch.seen) > 1000 * 1000);
        assert_int_equal(watch_answered(&watch, watch.seen), 0);
}

/* A disk that stalls for hours, and then a TCB that has all of its time again. */
static void a_disk_may_stall(void **state)
{
        struct watch watch = serving(END_MSEC);
        const uint64_t hours = UINT64_C(3) * 3600 * 1000;

        (void)state;
        assert_int_equal(turn_until(&watch, WATCH_WARN, WATCH_DEVICE, hours), END_MSEC / 6);
        assert_int_equal(turn_until(&watch, WATCH_END, WATCH_DEVICE, hours), hours);
        assert_true(turn_until(&watch, WATCH_END, 'S', hours) >= END_MSEC);
}

/* The machine was paused, or had no time for anybody. */
static void time_that_nobody_saw_does_not_count(void **state)
{
        struct watch watch = serving(END_MSEC);

        (void)state;
        assert_int_equal(watch_turn(&watch, watch.seen + UINT64_C(1) * 3600 * 1000, 'S'),
                         WATCH_WARN);
        assert_int_equal(watch.silent, END_MSEC / 6);
        assert_true(turn_until(&watch, WATCH_END, 'S', END_MSEC) >= END_MSEC * 5 / 6);
}

static void a_start_may_take_longer(void **state)
{
        struct watch watch;

        (void)state;
        watch_init(&watch, END_MSEC);
        watch_start(&watch, 1000);
        assert_int_equal(turn_until(&watch, WATCH_WARN, 'S', END_MSEC), WATCH_START_TIMES * 10000);
        watch_start(&watch, 1000);
        assert_int_equal(turn_until(&watch, WATCH_END, 'S', UINT64_C(10) * END_MSEC),
                         WATCH_START_TIMES * END_MSEC);
}

/* One that is slow, not stuck, comes up in the end. */
static void the_next_one_has_more_time(void **state)
{
        struct watch watch = serving(END_MSEC);
        uint64_t before = 0;
        uint64_t passed = 0;

        (void)state;
        for (int i = 0; i < 10; i++) {
                passed = turn_until(&watch, WATCH_END, 'R', UINT64_C(100) * END_MSEC);
                assert_true(passed == END_MSEC ||
                            passed == (i <= WATCH_PATIENCE ? 2 * before : before));
                before = passed;
                watch_start(&watch, watch.seen);
                (void)watch_answered(&watch, watch.seen);
        }
        assert_int_equal(passed, END_MSEC << WATCH_PATIENCE);
        watch_forgive(&watch);
        assert_int_equal(turn_until(&watch, WATCH_END, 'R', UINT64_C(100) * END_MSEC), END_MSEC);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(ends_one_that_is_silent),
            cmocka_unit_test(a_word_in_time_is_enough),
            cmocka_unit_test(warns_before_and_ever_more_rarely),
            cmocka_unit_test(a_disk_may_stall),
            cmocka_unit_test(time_that_nobody_saw_does_not_count),
            cmocka_unit_test(a_start_may_take_longer),
            cmocka_unit_test(the_next_one_has_more_time),
        };

        return cmocka_run_group_tests_name("supervisor-watch", tests, NULL, NULL);
}
