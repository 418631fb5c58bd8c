#include "base/hex.h"
#include "crypto/drbg.h"
#include "lib/test.h"

#define COUNTED "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define ZEROS   "0000000000000000000000000000000000000000000000000000000000000000"

/*
 * The first row is instance 0 of NIST's CAVP for HMAC_DRBG with SHA-256 without prediction
 * resistance (its first output; the published one is the second); all rows are checked against
 * the pseudocode of SP 800-90A, 10.1.2, run by hand in another language.
 */
static const struct {
        const char *seed;
        const char *nonce;
        const char *personalization;
        const char *expected;
} rows[] = {
    {"ca851911349384bffe89de1cbdc46e6831e44d34a4fb935ee285dd14b71a7488",
     "659ba96c601dc69fc902940805ec0ca8", "",
     "591adfe6e6ee9ba3e7d11ed51db04b3bf9600c1733c0b0c4486eb8230bc56344b563ba9bd6858c0e"
     "4a04888c0b13cd4e024d2866f8f5b2bf4db1d83e27bd1eae13864768ccae5d6b903d3fcc6a517bc6"
     "817779cec7ec7eb34fec5ae0481e46f02d91b8ff9a3be9376c17d8a58033e69b3de00e2bafa1fb5f"
     "396daf2cf2345290"},
    {COUNTED, "000102030405060708090a0b0c0d0e0f", "profile",
     "28eac960ff57221f6a3dc4e2ad3c830f2cbdc00e20f4ade02b1c9c2a950ad2d61159ada49ef00ad7"
     "1dae1db0d7d13e32"},
    {COUNTED, "000102030405060708090a0b0c0d0e0f", "profilf",
     "36f913819e8c51057bb0a1bf4b06983baabd7a43cbcdacf6af46287e8d1c7d1140b9796d3b0305cb"
     "e07593d12b999a86"},
    {COUNTED, "0102030405060708090a0b0c0d0e0f10", "profile",
     "bdc960511c6ba27851c8276c91f86e33931ad2082377a6b2465d0fb0b9aa6d3135d3e37bcf3a4f38"
     "27ba77b3d2004f3a"},
    {ZEROS, "00000000000000000000000000000000", "", "0b"},
};

static size_t decode(const char *hex, uint8_t *ret, size_t max)
{
        size_t len = 0;

        assert_int_equal(hex_decode(hex, strlen(hex), ret, max, &len), 0);
        return len;
}

static void follows_sp_800_90a(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                uint8_t seed_bytes[DRBG_SEED_SIZE];
                uint8_t nonce[DRBG_NONCE_SIZE];
                uint8_t expected[DRBG_BYTES_MAX];
                struct secret AUTO_SECRET *seed = NULL;
                struct secret AUTO_SECRET *bytes = NULL;
                struct drbg_request request = {
                    .nonce = {nonce, decode(rows[i].nonce, nonce, sizeof(nonce))},
                    .personalization = {(const uint8_t *)rows[i].personalization,
                                        strlen(rows[i].personalization)},
                    .len = decode(rows[i].expected, expected, sizeof(expected)),
                };
                struct err err = {0};

                decode(rows[i].seed, seed_bytes, sizeof(seed_bytes));
                assert_ok(secret_new_copy(seed_bytes, sizeof(seed_bytes), &seed, &err), &err);
                request.seed = seed;
                assert_ok(drbg_expand(&request, &bytes, &err), &err);
                assert_int_equal(bytes->len, request.len);
                assert_memory_equal(bytes->data, expected, request.len);
        }
}

static void refuses_sizes_that_do_not_fit(void **state)
{
        static const uint8_t nonce[DRBG_NONCE_SIZE + 1];
        static const struct {
                size_t seed;
                size_t nonce;
                size_t len;
        } sizes[] = {{31, 16, 48}, {33, 16, 48}, {32, 15, 48},
                     {32, 17, 48}, {32, 16, 0},  {32, 16, 129}};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
                struct secret AUTO_SECRET *seed = NULL;
                struct secret *bytes = (void *)-1;
                struct err err = {0};

                assert_ok(secret_new(sizes[i].seed, &seed, &err), &err);
                assert_int_equal(
                    drbg_expand(&(struct drbg_request){.seed = seed,
                                                       .nonce = {nonce, sizes[i].nonce},
                                                       .len = sizes[i].len},
                                &bytes, &err),
                    ERR_USAGE);
                assert_ptr_equal(bytes, (void *)-1);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(follows_sp_800_90a),
            cmocka_unit_test(refuses_sizes_that_do_not_fit),
        };
        return cmocka_run_group_tests_name("drbg", tests, NULL, NULL);
}
