#include "base/hex.h"
#include "crypto/hash.h"
#include "lib/test.h"

/* FIPS 180-4 and GB/T 32905: the digest of "abc". */
static const struct {
        uint16_t tpm_id;
        const char *name;
        size_t size;
        const char *abc;
} rows[] = {
    {0x0004, "sha1", 20, "a9993e364706816aba3e25717850c26c9cd0d89d"},
    {0x000b, "sha256", 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {0x000c, "sha384", 48,
     "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
     "8086072ba1e7cc2358baeca134c825a7"},
    {0x000d, "sha512", 64,
     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
     "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
    {0x0012, "sm3_256", 32, "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"},
};

static void knows_the_algorithms(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const struct hash_alg *alg = hash_by_tpm_id(rows[i].tpm_id);

                if (alg == NULL && rows[i].tpm_id == HASH_TPM_SM3_256)
                        continue; /* an OpenSSL without SM3 */
                assert_non_null(alg);
                assert_ptr_equal(alg, hash_by_name(rows[i].name));
                assert_string_equal(alg->name, rows[i].name);
                assert_int_equal(alg->size, rows[i].size);
        }
        assert_null(hash_by_tpm_id(0x0010));
        assert_null(hash_by_tpm_id(0xffff));
        assert_null(hash_by_name("SHA256"));
        assert_null(hash_by_name("sha"));
        assert_null(hash_by_name(""));
}

static void hashes_in_one_and_in_many_steps(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const struct hash_alg *alg = hash_by_tpm_id(rows[i].tpm_id);
                const struct bytes parts[] = {
                    {(const uint8_t *)"a", 1}, {NULL, 0}, {(const uint8_t *)"bc", 2}};
                struct hash AUTO_HASH *hash = NULL;
                uint8_t digest[HASH_SIZE_MAX] = {0};
                char text[2 * HASH_SIZE_MAX + 1];
                struct err err = {0};

                if (alg == NULL)
                        continue;
                assert_ok(hash_digest(alg, "abc", 3, digest, &err), &err);
                assert_string_equal(hex_encode(digest, alg->size, text), rows[i].abc);
                memset(digest, 0xa5, sizeof(digest));
                assert_ok(hash_digest_parts(alg, parts, 3, digest, &err), &err);
                assert_string_equal(hex_encode(digest, alg->size, text), rows[i].abc);
                assert_ok(hash_new(alg, &hash, &err), &err);
                for (int round = 0; round < 2; round++) {
                        memset(digest, 0xa5, sizeof(digest));
                        assert_ok(hash_update(hash, "ab", 2, &err), &err);
                        assert_ok(hash_update(hash, "c", 1, &err), &err);
                        assert_ok(hash_final(hash, digest, &err), &err);
                        assert_string_equal(hex_encode(digest, alg->size, text), rows[i].abc);
                        if (alg->size < HASH_SIZE_MAX)
                                assert_int_equal(digest[alg->size], 0xa5);
                }
        }
}

static void extends_as_the_tpm_does(void **state)
{
        const struct hash_alg *sha256 = hash_by_tpm_id(HASH_TPM_SHA256);
        const struct hash_alg *sha1 = hash_by_tpm_id(HASH_TPM_SHA1);
        uint8_t pcr[HASH_SIZE_MAX] = {0};
        uint8_t digest[HASH_SIZE_MAX];
        char text[2 * HASH_SIZE_MAX + 1];
        struct err err = {0};

        (void)state;
        /* A PCR after one EV_SEPARATOR of four zero bytes: PCR 3 and 6 of nearly every machine. */
        assert_ok(hash_digest(sha256, "\0\0\0\0", 4, digest, &err), &err);
        assert_ok(hash_extend(sha256, pcr, digest, &err), &err);
        assert_string_equal(hex_encode(pcr, 32, text),
                            "3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969");
        memset(pcr, 0, sizeof(pcr));
        assert_ok(hash_digest(sha1, "\0\0\0\0", 4, digest, &err), &err);
        assert_ok(hash_extend(sha1, pcr, digest, &err), &err);
        assert_string_equal(hex_encode(pcr, 20, text), "b2a83b0ebf2f8374299a5b2bdfc31ea955ad7236");
}

/* Extending does not go through the same functions as hashing. */
static void extending_is_hashing_both(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const struct hash_alg *alg = hash_by_tpm_id(rows[i].tpm_id);
                uint8_t both[2 * HASH_SIZE_MAX];
                uint8_t pcr[HASH_SIZE_MAX];
                uint8_t want[HASH_SIZE_MAX];
                struct err err = {0};

                if (alg == NULL)
                        continue;
                memset(both, 0x11, alg->size);
                memset(both + alg->size, 0x22, alg->size);
                memset(pcr, 0x11, sizeof(pcr));
                assert_ok(hash_digest(alg, both, 2 * alg->size, want, &err), &err);
                assert_ok(hash_extend(alg, pcr, both + alg->size, &err), &err);
                assert_memory_equal(pcr, want, alg->size);
                if (alg->size < HASH_SIZE_MAX)
                        assert_int_equal(pcr[alg->size], 0x11);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(knows_the_algorithms),
            cmocka_unit_test(hashes_in_one_and_in_many_steps),
            cmocka_unit_test(extends_as_the_tpm_does),
            cmocka_unit_test(extending_is_hashing_both),
        };
        return cmocka_run_group_tests_name("crypto-hash", tests, NULL, NULL);
}
