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

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_known_answer),
            cmocka_unit_test(test_each_part_matters),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
