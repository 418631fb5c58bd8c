#include "crypto/cbc.h"

#include "base/hex.h"
#include "lib/test.h"

/* NIST SP 800-38A, F.2.2 and F.2.6: the first two blocks. */
static const char iv_hex[] = "000102030405060708090a0b0c0d0e0f";
static const char plain_hex[] = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51";
static const struct {
        const char *key;
        const char *cipher;
} rows[] = {
    {"2b7e151628aed2a6abf7158809cf4f3c",
     "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"},
    {"603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
     "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"},
};

static size_t decode(const char *hex, uint8_t *ret, size_t max)
{
        size_t n = 0;

        assert_int_equal(hex_decode(hex, strlen(hex), ret, max, &n), 0);
        return n;
}

static void decrypts_the_known_answers(void **state)
{
        uint8_t iv[CBC_BLOCK];

        (void)state;
        (void)decode(iv_hex, iv, sizeof(iv));
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct secret AUTO_SECRET *key = NULL;
                struct err err = {0};
                uint8_t key_bytes[32];
                uint8_t cipher[32];
                uint8_t plain[32];
                char hex[65];
                size_t n = decode(rows[i].key, key_bytes, sizeof(key_bytes));

                assert_ok(secret_new_copy(key_bytes, n, &key, &err), &err);
                n = decode(rows[i].cipher, cipher, sizeof(cipher));
                assert_ok(cbc_decrypt(key, iv, (struct bytes){cipher, n}, plain, &err), &err);
                assert_string_equal(hex_encode(plain, n, hex), plain_hex);
        }
}

static void refuses_other_lengths(void **state)
{
        static const struct {
                size_t key;
                size_t cipher;
        } lengths[] = {{24, 16}, {15, 16}, {32, 15}, {32, 17}};
        static const uint8_t zeros[32];

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
                struct secret AUTO_SECRET *key = NULL;
                struct err err = {0};
                uint8_t plain[32] = {0xa5};

                assert_ok(secret_new(lengths[i].key, &key, &err), &err);
                assert_int_equal(
                    cbc_decrypt(key, zeros, (struct bytes){zeros, lengths[i].cipher}, plain, &err),
                    ERR_USAGE);
                assert_int_equal(plain[0], 0xa5);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(decrypts_the_known_answers),
            cmocka_unit_test(refuses_other_lengths),
        };

        return cmocka_run_group_tests_name("crypto-cbc", tests, NULL, NULL);
}
