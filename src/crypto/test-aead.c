#include <stdlib.h>

#include "base/hex.h"
#include "crypto/aead.h"
#include "lib/test.h"

#define KEY_1 "00000000000000000000000000000000"
#define KEY_2 "feffe9928665731c6d6a8f9467308308"
#define PLAIN                                                                                      \
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"                         \
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define CIPHER                                                                                     \
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"                         \
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"

/* McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 13 to 16. */
static const struct {
        const char *key, *aad, *plain, *sealed; /* sealed = nonce, ciphertext, tag */
} vectors[] = {
    {KEY_1 KEY_1, "", "",
     "000000000000000000000000"
     "530f8afbc74536b9a963b4f1c4cb738b"},
    {KEY_1 KEY_1, "", KEY_1,
     "000000000000000000000000"
     "cea7403d4d606b6e074ec5d3baf39d18"
     "d0d1c8a799996bf0265b98b5d48ab919"},
    {KEY_2 KEY_2, "", PLAIN "1aafd255",
     "cafebabefacedbaddecaf888" CIPHER "898015ad"
     "b094dac5d93471bdec1a502270e3cc6c"},
    {KEY_2 KEY_2, "feedfacedeadbeeffeedfacedeadbeefabaddad2", PLAIN,
     "cafebabefacedbaddecaf888" CIPHER "76fc6ece0f4e1768cddf8853bb2d551b"},
};

#define BUFFER 256

static struct bytes from_hex(const char *text, uint8_t *memory)
{
        size_t len = 0;

        assert_int_equal(hex_decode(text, strlen(text), memory, BUFFER, &len), 0);
        return (struct bytes){memory, len};
}

static void opens_published_vectors(void **state)
{
        uint8_t k[BUFFER], a[BUFFER], p[BUFFER], s[BUFFER], out[BUFFER];
        struct err err = {0};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
                struct bytes key_bytes = from_hex(vectors[i].key, k);
                struct bytes aad = from_hex(vectors[i].aad, a);
                struct bytes plain = from_hex(vectors[i].plain, p);
                struct bytes sealed = from_hex(vectors[i].sealed, s);
                struct secret AUTO_SECRET *key = NULL;

                memset(out, 0xa5, sizeof(out));
                assert_ok(secret_new_copy(key_bytes.data, key_bytes.len, &key, &err), &err);
                assert_ok(aead_open(key, aad, sealed, out, &err), &err);
                assert_memory_equal(out, plain.data, plain.len);
                assert_int_equal(out[plain.len], 0xa5);
        }
}

static void refuses_every_flipped_byte(void **state)
{
        struct secret AUTO_SECRET *key = NULL;
        struct bytes plain = {(const uint8_t *)"attack at dawn", 14};
        struct bytes aad = {(const uint8_t *)"aad", 3};
        uint8_t sealed[14 + AEAD_OVERHEAD];
        uint8_t again[14 + AEAD_OVERHEAD];
        uint8_t out[14];
        struct err err = {0};

        (void)state;
        assert_ok(secret_new_random(AEAD_KEY_LEN, &key, &err), &err);
        assert_ok(aead_seal(key, aad, plain, sealed, &err), &err);
        assert_ok(aead_seal(key, aad, plain, again, &err), &err);
        assert_memory_not_equal(sealed, again, AEAD_NONCE_LEN);
        for (size_t i = 0; i < sizeof(sealed); i++) {
                memset(out, 0xa5, sizeof(out));
                sealed[i] ^= 1;
                assert_int_equal(
                    aead_open(key, aad, (struct bytes){sealed, sizeof(sealed)}, out, &err),
                    ERR_DAMAGED);
                assert_memory_equal(out, (uint8_t[14]){0}, sizeof(out));
                sealed[i] ^= 1;
        }
        assert_ok(aead_open(key, aad, (struct bytes){sealed, sizeof(sealed)}, out, &err), &err);
        assert_memory_equal(out, plain.data, plain.len);
}

static void refuses_other_lengths_aad_and_key(void **state)
{
        struct secret AUTO_SECRET *key = NULL;
        struct secret AUTO_SECRET *other = NULL;
        struct secret AUTO_SECRET *short_key = NULL;
        struct bytes aad = {(const uint8_t *)"aad", 3};
        uint8_t sealed[5 + AEAD_OVERHEAD];
        uint8_t out[64];
        struct err err = {0};

        (void)state;
        assert_ok(secret_new_random(AEAD_KEY_LEN, &key, &err), &err);
        assert_ok(secret_new_random(AEAD_KEY_LEN, &other, &err), &err);
        assert_ok(secret_new_random(16, &short_key, &err), &err);
        assert_ok(aead_seal(key, aad, (struct bytes){(const uint8_t *)"12345", 5}, sealed, &err),
                  &err);
        for (size_t len = 0; len < sizeof(sealed); len++)
                assert_int_equal(aead_open(key, aad, (struct bytes){sealed, len}, out, &err),
                                 ERR_DAMAGED);
        aad.len = 2;
        assert_int_equal(aead_open(key, aad, (struct bytes){sealed, sizeof(sealed)}, out, &err),
                         ERR_DAMAGED);
        aad.len = 3;
        assert_int_equal(aead_open(other, aad, (struct bytes){sealed, sizeof(sealed)}, out, &err),
                         ERR_DAMAGED);
        assert_int_equal(
            aead_open(short_key, aad, (struct bytes){sealed, sizeof(sealed)}, out, &err),
            ERR_LIMIT);
        assert_int_equal(aead_seal(key, aad, (struct bytes){sealed, AEAD_PLAIN_MAX + 1}, out, &err),
                         ERR_LIMIT);
        aad.len = AEAD_AAD_MAX + 1;
        assert_int_equal(aead_seal(key, aad, (struct bytes){sealed, 1}, out, &err), ERR_LIMIT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(opens_published_vectors),
            cmocka_unit_test(refuses_every_flipped_byte),
            cmocka_unit_test(refuses_other_lengths_aad_and_key),
        };
        return cmocka_run_group_tests_name("crypto-aead", tests, NULL, NULL);
}
