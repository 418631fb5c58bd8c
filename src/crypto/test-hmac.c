#include "base/hex.h"
#include "crypto/cfb.h"
#include "crypto/hmac.h"
#include "lib/test.h"

/* RFC 4231, test cases 2 (key "Jefe") and 6 (a key longer than a block). */
static void hmac_is_the_rfcs(void **state)
{
        static const struct {
                const char *hash, *data[2], *mac;
                size_t key_len; /* 0: "Jefe", otherwise that many 0xaa */
        } rows[] = {
            {"sha256",
             {"what do ya want ", "for nothing?"},
             "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
             0},
            {"sha256",
             {"Test Using Larger Than Block-Size Key - Hash Key First", ""},
             "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
             131},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct err err = {0};
                struct secret AUTO_SECRET *key = NULL;
                uint8_t long_key[131];
                uint8_t mac[HASH_SIZE_MAX];
                char text[2 * HASH_SIZE_MAX + 1];
                const struct hash_alg *alg = hash_by_name(rows[i].hash);
                const struct bytes parts[] = {
                    {(const uint8_t *)rows[i].data[0], strlen(rows[i].data[0])},
                    {(const uint8_t *)rows[i].data[1], strlen(rows[i].data[1])}};

                memset(long_key, 0xaa, sizeof(long_key));
                if (rows[i].key_len == 0)
                        assert_ok(secret_new_copy("Jefe", 4, &key, &err), &err);
                else
                        assert_ok(secret_new_copy(long_key, rows[i].key_len, &key, &err), &err);
                assert_ok(hmac_parts(alg, key, parts, 2, mac, &err), &err);
                assert_string_equal(hex_encode(mac, alg->size, text), rows[i].mac);
        }
}

/* SP 800-38A, F.3.13: CFB128-AES128 differs from ours only in its IV, so one block with the IV
 * exclusive-ored away: C = P xor AES(0) and AES-128(key 0, block 0) is FIPS 197's known value. */
static void cfb_is_aes(void **state)
{
        struct err err = {0};
        struct secret AUTO_SECRET *key = NULL;
        struct secret AUTO_SECRET *odd = NULL;
        uint8_t cipher[16];
        uint8_t plain[16] = {0};
        char text[33];

        (void)state;
        assert_ok(secret_new(16, &key, &err), &err);
        assert_ok(cfb_encrypt(key, (struct bytes){plain, 16}, cipher, &err), &err);
        assert_string_equal(hex_encode(cipher, 16, text), "66e94bd4ef8a2c3b884cfa59ca342b2e");
        plain[0] = 0xff;
        assert_ok(cfb_encrypt(key, (struct bytes){plain, 3}, cipher, &err), &err);
        assert_string_equal(hex_encode(cipher, 3, text), "99e94b");
        assert_ok(secret_new(15, &odd, &err), &err);
        assert_int_equal(cfb_encrypt(odd, (struct bytes){plain, 3}, cipher, &err), ERR_USAGE);
}

/* The prepared key gives the same, again and again. */
static void prepared_key_gives_the_same(void **state)
{
        static const uint8_t message[100] = {1, 2, 3};
        struct secret AUTO_SECRET *key = NULL;
        struct hmac AUTO_HMAC *hmac = NULL;
        struct err err = {0};

        (void)state;
        assert_ok(secret_new_random(32, &key, &err), &err);
        assert_ok(hmac_new(key, &hmac, &err), &err);
        for (size_t len = 0; len <= sizeof(message); len += 25) {
                const struct bytes bytes = {message, len};
                uint8_t expected[HMAC_LEN];
                uint8_t mac[HMAC_LEN] = {0};

                assert_ok(hmac_parts(hash_by_name("sha256"), key, &bytes, 1, expected, &err), &err);
                assert_ok(hmac_run(hmac, bytes, mac, &err), &err);
                assert_memory_equal(mac, expected, sizeof(mac));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(hmac_is_the_rfcs),
            cmocka_unit_test(prepared_key_gives_the_same),
            cmocka_unit_test(cfb_is_aes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
