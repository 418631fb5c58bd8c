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

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(each_is_asked_twice),
        };

        return cmocka_run_group_tests_name("tcb-parking-pace", tests, NULL, NULL);
}
