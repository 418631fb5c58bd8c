#include "crypto/passphrase.h"

#include <string.h>

#include "base/hex.h"
#include "lib/test.h"

/* scrypt("correct horse", 16 x 07, N 16384, r 8, p 1), then HKDF by kdf.h; from Python's hashlib.
 */
static const char known_hex[] = "8efeb8ffc04c954666a361a1a67e9be5fdae3de940c699a64cbb40c9a0937de4";

static struct secret *derive(const char *words, uint8_t salt_byte, const char *label)
{
        uint8_t salt[PASSPHRASE_SALT_LEN];
        struct secret AUTO_SECRET *passphrase = NULL;
        struct secret *key = NULL;
        struct err err = {0};

        memset(salt, salt_byte, sizeof(salt));
        assert_ok(secret_new_copy(words, strlen(words), &passphrase, &err), &err);
        assert_ok(passphrase_derive(passphrase, salt, label, &key, &err), &err);
        assert_int_equal(key->len, PASSPHRASE_KEY_LEN);
        return key;
}

static void test_known_answer(void **state)
{
        struct secret AUTO_SECRET *key = derive("correct horse", 7, "test label");
        char hex[2 * PASSPHRASE_KEY_LEN + 1];

        (void)state;
        assert_string_equal(hex_encode(key->data, key->len, hex), known_hex);
}

static void test_each_part_matters(void **state)
{
        static const struct {
                const char *words;
                uint8_t salt;
                const char *label;
        } rows[] = {
            {"correct horsf", 7, "test label"},
            {"correct horse", 8, "test label"},
            {"correct horse", 7, "test labem"},
        };
        struct secret AUTO_SECRET *key = derive("correct horse", 7, "test label");

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct secret AUTO_SECRET *other =
                    derive(rows[i].words, rows[i].salt, rows[i].label);

                assert_false(secret_equal(key->data, other->data, PASSPHRASE_KEY_LEN));
        }
}

/* PBKDF2-HMAC-SHA512("correct horse", "salt", 1000 rounds), from Python's hashlib. */
static void test_pbkdf2(void **state)
{
        static const uint8_t words[] = "correct horse";
        static const uint8_t salt[] = "salt";
        struct secret AUTO_SECRET *key = NULL;
        struct err err = {0};
        char hex[65];

        (void)state;
        assert_ok(secret_new(32, &key, &err), &err);
        assert_ok(passphrase_pbkdf2((struct bytes){words, sizeof(words) - 1},
                                    (struct bytes){salt, sizeof(salt) - 1}, 1000, key, &err),
                  &err);
        assert_string_equal(hex_encode(key->data, key->len, hex),
                            "38b54862cf5def6e5f58038925e7d345c7aabcb331948c89ed1759f359bbf674");
        assert_int_equal(passphrase_pbkdf2((struct bytes){words, PASSPHRASE_MAX + 1},
                                           (struct bytes){salt, 4}, 1000, key, &err),
                         ERR_FAILED);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_known_answer),
            cmocka_unit_test(test_each_part_matters),
            cmocka_unit_test(test_pbkdf2),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
