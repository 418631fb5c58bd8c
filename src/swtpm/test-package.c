#include "swtpm/package.h"

#include "crypto/aead.h"
#include "lib/test.h"

static const struct package sample = {
    .uuid = {1, 2, 3},
    .lineage = 7,
    .token = {9, 9, 9},
    .permanent = {(const uint8_t *)"permanent state", 15},
    .volatile_state = {(const uint8_t *)"volatile", 8},
};

static struct secret *make_key(const char *words)
{
        struct secret *key = NULL;
        struct err err = {0};

        assert_ok(secret_new_copy(words, strlen(words), &key, &err), &err);
        return key;
}

static int decode(const uint8_t *data, size_t len, const struct secret *key, struct package *ret,
                  uint8_t **ret_memory, struct err *err)
{
        size_t n;

        return package_decode((struct bytes){data, len}, key, ret, ret_memory, &n, err);
}

static void check_same(const struct package *a, const struct package *b)
{
        assert_memory_equal(a->uuid, b->uuid, sizeof(a->uuid));
        assert_int_equal(a->lineage, b->lineage);
        assert_memory_equal(a->token, b->token, sizeof(a->token));
        assert_true(bytes_equal(a->permanent, b->permanent));
        assert_true(bytes_equal(a->volatile_state, b->volatile_state));
}

static void test_there_and_back(void **state)
{
        struct secret AUTO_SECRET *key = make_key("migration");

        (void)state;
        for (int sealed = 0; sealed < 2; sealed++) {
                uint8_t AUTO_FREE *data = NULL;
                uint8_t AUTO_FREE *memory = NULL;
                struct package package;
                struct err err = {0};
                size_t len = 0;

                assert_ok(package_encode(&sample, sealed ? key : NULL, &data, &len, &err), &err);
                /* What is sealed shows nothing of the state. */
                assert_true((memmem(data, len, "permanent state", 15) == NULL) == sealed);
                assert_ok(decode(data, len, sealed ? key : NULL, &package, &memory, &err), &err);
                check_same(&package, &sample);
        }
}

/* Every byte of a sealed one counts, and so does the key. */
static void test_sealed_is_whole(void **state)
{
        struct secret AUTO_SECRET *key = make_key("migration");
        struct secret AUTO_SECRET *other = make_key("another");
        uint8_t AUTO_FREE *data = NULL;
        struct package package = {.lineage = 1};
        uint8_t *memory = NULL;
        struct err err = {0};
        size_t len = 0;

        (void)state;
        assert_ok(package_encode(&sample, key, &data, &len, &err), &err);
        assert_int_equal(decode(data, len, other, &package, &memory, &err), ERR_NOT_PERMITTED);
        assert_int_equal(decode(data, len, NULL, &package, &memory, &err), ERR_NOT_PERMITTED);
        for (size_t i = 0; i < len; i += 9) {
                data[i] ^= 1;
                assert_true(decode(data, len, key, &package, &memory, &err) != 0);
                data[i] ^= 1;
        }
        assert_int_equal(decode(data, len - 1, key, &package, &memory, &err), ERR_NOT_PERMITTED);
        assert_int_equal(decode(data, 20 + AEAD_OVERHEAD - 1, key, &package, &memory, &err),
                         ERR_MALFORMED);
        assert_int_equal(package.lineage, 1);
        assert_null(memory);
}

static void test_clear_is_refused_by_who_has_a_key(void **state)
{
        struct secret AUTO_SECRET *key = make_key("migration");
        uint8_t AUTO_FREE *data = NULL;
        struct package package;
        uint8_t *memory = NULL;
        struct err err = {0};
        size_t len = 0;

        (void)state;
        assert_ok(package_encode(&sample, NULL, &data, &len, &err), &err);
        assert_int_equal(decode(data, len, key, &package, &memory, &err), ERR_NOT_PERMITTED);
}

static void test_malformed(void **state)
{
        uint8_t AUTO_FREE *data = NULL;
        struct package package;
        uint8_t *memory = NULL;
        struct err err = {0};
        size_t len = 0;

        (void)state;
        assert_ok(package_encode(&sample, NULL, &data, &len, &err), &err);
        for (size_t n = 0; n < len; n++)
                assert_int_equal(decode(data, n, NULL, &package, &memory, &err), ERR_MALFORMED);
        data = realloc(data, len + 1);
        assert_non_null(data);
        data[len] = 0;
        assert_int_equal(decode(data, len + 1, NULL, &package, &memory, &err), ERR_MALFORMED);
        data[60] = 0xff; /* the length of the permanent state */
        assert_int_equal(decode(data, len, NULL, &package, &memory, &err), ERR_MALFORMED);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_there_and_back),
            cmocka_unit_test(test_sealed_is_whole),
            cmocka_unit_test(test_clear_is_refused_by_who_has_a_key),
            cmocka_unit_test(test_malformed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
