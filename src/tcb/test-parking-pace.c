#include "lib/test.h"
#include "tcb/parking.h"

/* Each is asked twice in the time, whether there are few or many of them. */
static void each_is_asked_twice(void **state)
{
        static const struct {
                size_t n_live;
                uint64_t after;
                size_t most; /* in one second */
        } rows[] = {{1, 300, 1}, {2, 300, 1}, {150, 300, 1}, {151, 300, 2}, {20000, 300, 134},
                    {1, 4, 1},   {1, 1, 2},   {0, 300, 0},   {7, 0, 0}};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const uint64_t seconds = rows[i].after == 0 ? 10 : rows[i].after;
                uint64_t credit = 0;
                size_t asked = 0;

                for (uint64_t second = 0; second < seconds; second++) {
                        size_t n = parking_pace(&credit, rows[i].n_live, rows[i].after);

                        if (n > rows[i].most)
                                fail_msg("%zu of %zu in one second", n, rows[i].n_live);
                        asked += n;
                }
                assert_int_equal(asked, rows[i].after == 0 ? 0 : 2 * rows[i].n_live);
        }
}

static void memory_is_short_below_the_percentage(void **state)
{
        static const struct {
                const char *meminfo;
                uint64_t below;
                bool is_short;
        } rows[] = {
            {"MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  99 kB\n", 10, true},
            {"MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable: 100 kB\n", 10, false},
            {"MemTotal:  1000 kB\nMemFree: 999 kB\nMemAvailable: 0 kB\n", 1, true},
            {"MemTotal:  1000 kB\nMemAvailable: 899 kB\n", 90, true},
            {"MemTotal:  1000 kB\nMemAvailable: 0 kB\n", 0, false},
            {"MemTotal:  4294967296 kB\nMemAvailable: 4294967295 kB\n", 90, false},
            /* What is not known is not short: nobody would be left alive. */
            {"MemTotal:  1000 kB\nMemFree: 1 kB\n", 10, false},
            {"MemAvailable: 1 kB\n", 10, false},
            {"", 10, false},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (parking_is_short(rows[i].meminfo, rows[i].below) != rows[i].is_short)
                        fail_msg("row %zu", i);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(each_is_asked_twice),
            cmocka_unit_test(memory_is_short_below_the_percentage),
        };

        return cmocka_run_group_tests_name("tcb-parking-pace", tests, NULL, NULL);
}
