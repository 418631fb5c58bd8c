#include <stdlib.h>

#include "base/secret.h"
#include "lib/test.h"

static void wipes_on_release(void **state)
{
        struct err err = {0};
        struct secret *secret = NULL;
        const uint8_t *slot;

        (void)state;
        assert_ok(secret_new_copy("0123456789abcdef", 16, &secret, &err), &err);
        slot = secret->data;
        secret_free(secret);
        for (size_t i = 0; i < 16; i++)
                assert_int_equal(slot[i], 0);
}

static void random_ones_differ(void **state)
{
        struct err err = {0};
        struct secret AUTO_SECRET *a = NULL;
        struct secret AUTO_SECRET *b = NULL;

        (void)state;
        assert_ok(secret_new_random(32, &a, &err), &err);
        assert_ok(secret_new_random(32, &b, &err), &err);
        assert_false(secret_equal(a->data, b->data, 32));
        assert_true(secret_equal(a->data, a->data, 32));
}

static void refuses_sizes_and_a_full_arena(void **state)
{
        static struct secret *all[SECRET_COUNT_MAX];
        struct secret *more = NULL;
        struct err err = {0};
        size_t n = 0;

        (void)state;
        assert_int_equal(secret_new(0, &more, &err), ERR_LIMIT);
        assert_int_equal(secret_new(SECRET_LEN_MAX + 1, &more, &err), ERR_LIMIT);
        while (n < SECRET_COUNT_MAX && secret_new(32, &all[n], &err) == 0)
                n++;
        assert_int_equal(n, SECRET_COUNT_MAX);
        assert_int_equal(secret_new(32, &more, &err), ERR_LIMIT);
        assert_null(more);
        while (n > 0)
                secret_free(all[--n]);
        assert_ok(secret_new(32, &more, &err), &err);
        secret_free(more);
        secret_free(NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(wipes_on_release),
            cmocka_unit_test(random_ones_differ),
            cmocka_unit_test(refuses_sizes_and_a_full_arena),
        };
        return cmocka_run_group_tests_name("base-secret", tests, NULL, NULL);
}
