#include <stdlib.h>

#include "base/hex.h"
#include "crypto/kdf.h"
#include "lib/test.h"

#define BUFFER 256

static struct bytes from_hex(const char *text, uint8_t *memory)
{
        size_t len = 0;

        assert_int_equal(hex_decode(text, strlen(text), memory, BUFFER, &len), 0);
        return (struct bytes){memory, len};
}

/* RFC 5869, appendix A.1 to A.3. */
static const struct {
        const char *key, *salt, *info, *result;
} hkdf_vectors[] = {
    {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c",
     "f0f1f2f3f4f5f6f7f8f9",
     "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
    {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
     "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
     "404142434445464748494a4b4c4d4e4f",
     "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f"
     "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
     "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
     "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecf"
     "d0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeef"
     "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
     "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
     "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
     "cc30c58179ec3e87c14c01d5c1f3434f1d87"},
    {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
     "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
};

static void hkdf_matches_rfc_5869(void **state)
{
        uint8_t k[BUFFER], s[BUFFER], i[BUFFER], r[BUFFER];
        struct err err = {0};

        (void)state;
        for (size_t row = 0; row < ARRAY_SIZE(hkdf_vectors); row++) {
                struct bytes key_bytes = from_hex(hkdf_vectors[row].key, k);
                struct bytes salt = from_hex(hkdf_vectors[row].salt, s);
                struct bytes info = from_hex(hkdf_vectors[row].info, i);
                struct bytes wanted = from_hex(hkdf_vectors[row].result, r);
                struct secret AUTO_SECRET *key = NULL;
                struct secret AUTO_SECRET *result = NULL;

                assert_ok(secret_new_copy(key_bytes.data, key_bytes.len, &key, &err), &err);
                assert_ok(secret_new(wanted.len, &result, &err), &err);
                assert_ok(kdf_hkdf(key, salt, info, result, &err), &err);
                assert_memory_equal(result->data, wanted.data, wanted.len);
        }
}

static void labels_and_contexts_separate(void **state)
{
        static const struct {
                const char *label, *context;
        } uses[] = {{"a", ""}, {"ab", ""}, {"a", "b"}, {"b", "a"}, {"abc", "d"}, {"ab", "cd"}};
        struct secret AUTO_SECRET *key = NULL;
        struct secret *keys[ARRAY_SIZE(uses)] = {NULL};
        struct err err = {0};

        (void)state;
        assert_ok(secret_new_random(32, &key, &err), &err);
        for (size_t i = 0; i < ARRAY_SIZE(uses); i++) {
                struct kdf_request request = {
                    .key = key,
                    .label = uses[i].label,
                    .context = {(const uint8_t *)uses[i].context, strlen(uses[i].context)},
                    .len = 32,
                };

                assert_ok(kdf_derive(&request, &keys[i], &err), &err);
                for (size_t j = 0; j < i; j++)
                        assert_memory_not_equal(keys[i]->data, keys[j]->data, 32);
        }
        for (size_t i = 0; i < ARRAY_SIZE(uses); i++)
                secret_free(keys[i]);
}

static void refuses_what_is_too_long(void **state)
{
        static const char label[KDF_LABEL_MAX + 2] =
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
        static const uint8_t context[KDF_CONTEXT_MAX + 1];
        struct secret AUTO_SECRET *key = NULL;
        struct secret *result = NULL;
        struct err err = {0};
        struct kdf_request rows[] = {
            {.label = "", .len = 32},
            {.label = label, .len = 32},
            {.label = "a", .context = {context, sizeof(context)}, .len = 32},
            {.label = "a", .len = 0},
            {.label = "a", .len = SECRET_LEN_MAX + 1},
        };

        (void)state;
        assert_ok(secret_new_random(32, &key, &err), &err);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                rows[i].key = key;
                assert_int_equal(kdf_derive(&rows[i], &result, &err), ERR_LIMIT);
                assert_null(result);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(hkdf_matches_rfc_5869),
            cmocka_unit_test(labels_and_contexts_separate),
            cmocka_unit_test(refuses_what_is_too_long),
        };
        return cmocka_run_group_tests_name("crypto-kdf", tests, NULL, NULL);
}
