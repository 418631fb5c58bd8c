/*
 * libtpms' calls to libcrypto as the linker redirects them: this program is linked like the engine,
 * so what it calls here is what libtpms gets. The whole engine is in tests/system/test-signing.c.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <malloc.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/rsa.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/hex.h"
#include "base/macro.h"
#include "engine/interpose-sign.h"
#include "engine/vtpm.h"
#include "lib/test.h"

#define BITS    1024 /* the arithmetic is the same, and tests are quick */
#define PATTERN 24   /* bytes of a prime: nobody else has them by chance */

/* ---- libcrypto's memory: nothing that it frees may hold this pattern ---- */

static struct {
        uint8_t bytes[PATTERN];
        bool armed;
        unsigned found;
} pattern;

static void look_into(const void *memory)
{
        if (memory != NULL && pattern.armed &&
            memmem(memory, malloc_usable_size((void *)(uintptr_t)memory), pattern.bytes, PATTERN) !=
                NULL)
                pattern.found++;
}

static void *watched_malloc(size_t n, const char *file, int line)
{
        (void)file;
        (void)line;
        /* Zeroed, so that nothing older is found. */
        return calloc(1, n);
}

static void *watched_realloc(void *memory, size_t n, const char *file, int line)
{
        (void)file;
        (void)line;
        look_into(memory);
        return realloc(memory, n);
}

static void watched_free(void *memory, const char *file, int line)
{
        (void)file;
        (void)line;
        look_into(memory);
        free(memory);
}

/* ---- keys as libtpms makes them ---- */

static RSA *whole_rsa(void)
{
        RSA *rsa = RSA_new();
        BIGNUM *e = BN_new();

        assert_int_equal(BN_set_word(e, RSA_F4), 1);
        assert_int_equal(RSA_generate_key_ex(rsa, BITS, e, NULL), 1);
        BN_free(e);
        return rsa;
}

/* n, e, d and what depends on the primes, but not they. */
static EVP_PKEY *without_factors(const RSA *whole)
{
        EVP_PKEY *key = EVP_PKEY_new();
        RSA *rsa = RSA_new();

        assert_int_equal(RSA_set0_key(rsa, BN_dup(RSA_get0_n(whole)), BN_dup(RSA_get0_e(whole)),
                                      BN_dup(RSA_get0_d(whole))),
                         1);
        assert_int_equal(RSA_set0_crt_params(rsa, BN_dup(RSA_get0_dmp1(whole)),
                                             BN_dup(RSA_get0_dmq1(whole)),
                                             BN_dup(RSA_get0_iqmp(whole))),
                         1);
        assert_int_equal(EVP_PKEY_assign_RSA(key, rsa), 1);
        return key;
}

static EVP_PKEY *new_key(void)
{
        RSA *whole = whole_rsa();
        EVP_PKEY *key = without_factors(whole);

        RSA_free(whole);
        return key;
}

static void verify(EVP_PKEY *key, int padding, const uint8_t *digest, const uint8_t *signature,
                   size_t len)
{
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);

        assert_int_equal(EVP_PKEY_verify_init(ctx), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, padding), 1);
        assert_int_equal(EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()), 1);
        assert_int_equal(EVP_PKEY_verify(ctx, signature, len, digest, 32), 1);
        EVP_PKEY_CTX_free(ctx);
}

/* Signs through a context from the replaced call, and lets go of the key before, as libtpms may. */
static void sign_and_verify(EVP_PKEY *key, int padding)
{
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
        uint8_t digest[32] = {1, 2, 3};
        uint8_t signature[BITS / 8];
        size_t len = sizeof(signature);

        assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, padding), 1);
        assert_int_equal(EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()), 1);
        assert_int_equal(EVP_PKEY_sign(ctx, signature, &len, digest, sizeof(digest)), 1);
        EVP_PKEY_CTX_free(ctx);
        verify(key, padding, digest, signature, len);
}

static void use(EVP_PKEY *key)
{
        EVP_PKEY_CTX_free(EVP_PKEY_CTX_new(key, NULL));
}

static EVP_PKEY *served_for(EVP_PKEY *key)
{
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
        EVP_PKEY *served = EVP_PKEY_CTX_get0_pkey(ctx);

        EVP_PKEY_CTX_free(ctx);
        return served;
}

static bool has_number(const EVP_PKEY *key, const char *name, const BIGNUM *expected)
{
        BIGNUM *number = NULL;
        bool same;

        assert_int_equal(EVP_PKEY_get_bn_param(key, name, &number), 1);
        same = BN_cmp(number, expected) == 0;
        BN_clear_free(number);
        return same;
}

static void check_key(EVP_PKEY *key)
{
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);

        assert_int_equal(EVP_PKEY_check(ctx), 1);
        EVP_PKEY_CTX_free(ctx);
}

static int tear_down(void **state)
{
        (void)state;
        interpose_sign_forget();
        return 0;
}

/* ---- RSA ---- */

static void completes_a_key_as_it_was(void **state)
{
        RSA *whole = whole_rsa();
        EVP_PKEY *key = without_factors(whole);
        EVP_PKEY *served = served_for(key);

        (void)state;
        assert_ptr_not_equal(served, key);
        assert_true(has_number(served, OSSL_PKEY_PARAM_RSA_N, RSA_get0_n(whole)));
        assert_true(has_number(served, OSSL_PKEY_PARAM_RSA_FACTOR1, RSA_get0_p(whole)) ||
                    has_number(served, OSSL_PKEY_PARAM_RSA_FACTOR1, RSA_get0_q(whole)));
        check_key(served);
        assert_int_equal(interpose_sign_keys(), 1);
        sign_and_verify(key, RSA_PKCS1_PADDING);
        sign_and_verify(key, RSA_PKCS1_PSS_PADDING);
        assert_int_equal(interpose_sign_keys(), 1);
        EVP_PKEY_free(key);
        RSA_free(whole);
}

static void decrypts(void **state)
{
        EVP_PKEY *key = new_key();
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
        uint8_t cipher[BITS / 8];
        uint8_t plain[BITS / 8];
        size_t cipher_len = sizeof(cipher);
        size_t plain_len = sizeof(plain);

        (void)state;
        assert_int_equal(EVP_PKEY_encrypt_init(ctx), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING), 1);
        assert_int_equal(EVP_PKEY_encrypt(ctx, cipher, &cipher_len, (const uint8_t *)"seed", 4), 1);
        EVP_PKEY_CTX_free(ctx);
        ctx = EVP_PKEY_CTX_new(key, NULL);
        assert_int_equal(EVP_PKEY_decrypt_init(ctx), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING), 1);
        assert_int_equal(EVP_PKEY_decrypt(ctx, plain, &plain_len, cipher, cipher_len), 1);
        assert_int_equal(plain_len, 4);
        assert_memory_equal(plain, "seed", 4);
        EVP_PKEY_CTX_free(ctx);
        EVP_PKEY_free(key);
}

static void keeps_the_keys_used_last(void **state)
{
        EVP_PKEY *list[INTERPOSE_KEYS_MAX + 1];
        const EVP_PKEY *first;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(list); i++)
                list[i] = new_key();
        for (size_t i = 0; i < INTERPOSE_KEYS_MAX; i++)
                use(list[i]);
        first = served_for(list[0]);
        assert_int_equal(interpose_sign_keys(), INTERPOSE_KEYS_MAX);
        /* One more takes the place of list[1], the oldest now. */
        use(list[INTERPOSE_KEYS_MAX]);
        assert_int_equal(interpose_sign_keys(), INTERPOSE_KEYS_MAX);
        assert_ptr_equal(served_for(list[0]), first);
        for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
                sign_and_verify(list[i], RSA_PKCS1_PADDING);
                EVP_PKEY_free(list[i]);
        }
}

/* A libtpms that makes its keys complete is served what it has; so are public keys. */
static void leaves_alone_what_needs_no_help(void **state)
{
        RSA *whole = whole_rsa();
        RSA *public = RSA_new();
        EVP_PKEY *key = EVP_PKEY_new();
        EVP_PKEY *public_key = EVP_PKEY_new();

        (void)state;
        assert_int_equal(
            RSA_set0_key(public, BN_dup(RSA_get0_n(whole)), BN_dup(RSA_get0_e(whole)), NULL), 1);
        assert_int_equal(EVP_PKEY_assign_RSA(key, whole), 1);
        assert_int_equal(EVP_PKEY_assign_RSA(public_key, public), 1);
        assert_ptr_equal(served_for(key), key);
        assert_ptr_equal(served_for(public_key), public_key);
        assert_int_equal(interpose_sign_keys(), 0);
        EVP_PKEY_free(key);
        EVP_PKEY_free(public_key);
}

/* What does not belong together is libtpms' own affair, as without us. */
static void leaves_alone_what_is_no_key(void **state)
{
        RSA *whole = whole_rsa();

        (void)state;
        for (unsigned row = 0; row < 4; row++) {
                RSA *rsa = RSA_new();
                EVP_PKEY *key = EVP_PKEY_new();
                BIGNUM *n = BN_dup(RSA_get0_n(whole));
                BIGNUM *e = BN_dup(RSA_get0_e(whole));
                BIGNUM *d = BN_dup(RSA_get0_d(whole));

                assert_int_equal(row == 0   ? BN_add_word(d, 2)
                                 : row == 1 ? BN_set_word(d, 1)
                                 : row == 2 ? BN_add_word(n, 2)
                                            : BN_set_word(e, 3),
                                 1);
                assert_int_equal(RSA_set0_key(rsa, n, e, d), 1);
                assert_int_equal(EVP_PKEY_assign_RSA(key, rsa), 1);
                assert_ptr_equal(served_for(key), key);
                assert_int_equal(interpose_sign_keys(), 0);
                EVP_PKEY_free(key);
        }
        RSA_free(whole);
}

static void wipes_the_primes(void **state)
{
        RSA *whole = whole_rsa();
        EVP_PKEY *key = without_factors(whole);
        uint8_t prime[BITS / 16];

        (void)state;
        /* As BIGNUMs lie in memory here: least significant first. */
        assert_int_equal(BN_bn2lebinpad(RSA_get0_p(whole), prime, sizeof(prime)), sizeof(prime));
        memcpy(pattern.bytes, prime + 8, PATTERN);
        pattern.found = 0;
        pattern.armed = true;
        OPENSSL_free(memcpy(OPENSSL_zalloc(PATTERN), pattern.bytes, PATTERN));
        assert_int_equal(pattern.found, 1); /* it would be seen */
        sign_and_verify(key, RSA_PKCS1_PADDING);
        assert_int_equal(interpose_sign_keys(), 1);
        interpose_sign_forget();
        assert_int_equal(interpose_sign_keys(), 0);
        EVP_PKEY_free(key);
        RSA_free(whole);
        pattern.armed = false;
        assert_int_equal(pattern.found, 1);
}

/* ---- a whole TPM in this process ---- */

static void ignore_blob(void *context, enum engine_blob_kind kind, struct bytes blob)
{
        (void)context;
        (void)kind;
        (void)blob;
}

static void run(const char *hex)
{
        uint8_t command[256];
        struct bytes answer;
        size_t len = 0;

        assert_int_equal(hex_decode(hex, strlen(hex), command, sizeof(command), &len), 0);
        answer = vtpm_process((struct bytes){command, len});
        if (answer.len < 10 || memcmp(answer.data + 6, "\0\0\0", 4) != 0)
                fail_msg("%.28s...: 0x%02x%02x", hex, answer.data[8], answer.data[9]);
}

#define PASSWORD "00000009400000090000000000"
#define SIGN(handle)                                                                               \
        "8002000000490000015d" handle PASSWORD "0020"                                              \
        "0101010101010101010101010101010101010101010101010101010101010101"                         \
        "0014000b"                                                                                 \
        "8024400000070000"

static void keeps_no_key_longer_than_the_tpm_does(void **state)
{
        static const char create[] =
            "80020000003f0000013140000001" PASSWORD "000400000000"
            "00160001000b000404720000001000100800000000000000" /* RSA-2048 that signs */
            "000000000000";
        const struct vtpm_setup setup = {.persist = ignore_blob};
        struct err err = {0};

        (void)state;
        assert_ok(vtpm_load(&setup, &err), &err);
        assert_ok(vtpm_power_on(&err), &err);
        run("80010000000c000001440000"); /* TPM2_Startup */
        run(create);
        /* The first use of an algorithm has the TPM test itself, with a key of its own. */
        run(SIGN("80000000"));
        assert_int_equal(interpose_sign_keys(), 2);
        run("80010000000e0000016580000000"); /* TPM2_FlushContext */
        assert_int_equal(interpose_sign_keys(), 0);
        run(create);
        run(SIGN("80000000"));
        run(SIGN("80000000"));
        assert_int_equal(interpose_sign_keys(), 1);
        vtpm_power_off();
        assert_int_equal(interpose_sign_keys(), 0);
        vtpm_unload();
}

/* ---- curves ---- */

struct parameters {
        BIGNUM *p, *a, *b;
        EC_POINT *generator;
        BIGNUM *order, *cofactor;
};

static struct parameters parameters_of(const EC_GROUP *group)
{
        struct parameters it = {.p = BN_new(), .a = BN_new(), .b = BN_new()};

        assert_int_equal(EC_GROUP_get_curve(group, it.p, it.a, it.b, NULL), 1);
        it.generator = EC_POINT_dup(EC_GROUP_get0_generator(group), group);
        it.order = BN_dup(EC_GROUP_get0_order(group));
        it.cofactor = BN_dup(EC_GROUP_get0_cofactor(group));
        return it;
}

static void parameters_free(struct parameters *it)
{
        BN_free(it->p);
        BN_free(it->a);
        BN_free(it->b);
        BN_free(it->order);
        BN_free(it->cofactor);
        EC_POINT_free(it->generator);
}

/* k G by this group is k G by libcrypto's own curve. */
static void multiplies_as(const EC_GROUP *own, const EC_GROUP *group)
{
        EC_POINT *expected = EC_POINT_new(own);
        EC_POINT *got = EC_POINT_new(group);
        BIGNUM *k = BN_new();

        assert_int_equal(BN_set_word(k, 0x123456789), 1);
        assert_int_equal(EC_POINT_mul(own, expected, k, NULL, NULL, NULL), 1);
        assert_int_equal(EC_POINT_mul(group, got, k, NULL, NULL, NULL), 1);
        assert_int_equal(EC_POINT_cmp(group, expected, got, NULL), 0);
        EC_POINT_free(expected);
        EC_POINT_free(got);
        BN_free(k);
}

static void serves_curves_that_libcrypto_has(void **state)
{
        static const struct {
                int nid;
                bool served;
        } rows[] = {{NID_X9_62_prime256v1, true},
                    {NID_secp384r1, true},
                    {NID_secp521r1, true},
                    {NID_brainpoolP256r1, false}};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                EC_GROUP *own = EC_GROUP_new_by_curve_name(rows[i].nid);
                struct parameters it = parameters_of(own);

                /* Twice: what one caller frees the next still gets. */
                for (unsigned n = 0; n < 2; n++) {
                        EC_GROUP *group = EC_GROUP_new_curve_GFp(it.p, it.a, it.b, NULL);

                        assert_int_equal(EC_GROUP_get_curve_name(group),
                                         rows[i].served ? rows[i].nid : NID_undef);
                        assert_int_equal(
                            EC_GROUP_set_generator(group, it.generator, it.order, it.cofactor), 1);
                        multiplies_as(own, group);
                        EC_GROUP_free(group);
                }
                parameters_free(&it);
                EC_GROUP_free(own);
        }
}

static void another_curve_or_generator_is_its_own(void **state)
{
        EC_GROUP *own = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
        struct parameters it = parameters_of(own);
        EC_GROUP *group = EC_GROUP_new_curve_GFp(it.p, it.a, it.b, NULL);
        EC_POINT *twice = EC_POINT_new(own);

        (void)state;
        assert_int_equal(EC_POINT_dbl(own, twice, it.generator, NULL), 1);
        assert_int_equal(EC_GROUP_set_generator(group, twice, it.order, it.cofactor), 1);
        assert_int_equal(EC_GROUP_get_curve_name(group), NID_undef);
        assert_int_equal(EC_POINT_cmp(group, EC_GROUP_get0_generator(group), twice, NULL), 0);
        EC_GROUP_free(group);
        /* The cache has not noticed. */
        group = EC_GROUP_new_curve_GFp(it.p, it.a, it.b, NULL);
        assert_int_equal(EC_POINT_cmp(group, EC_GROUP_get0_generator(group), it.generator, NULL),
                         0);
        EC_GROUP_free(group);
        assert_int_equal(BN_add_word(it.b, 1), 1);
        group = EC_GROUP_new_curve_GFp(it.p, it.a, it.b, NULL);
        assert_non_null(group);
        assert_int_equal(EC_GROUP_get_curve_name(group), NID_undef);
        EC_GROUP_free(group);
        EC_POINT_free(twice);
        parameters_free(&it);
        EC_GROUP_free(own);
}

static void says_what_it_does(void **state)
{
        (void)state;
        assert_string_equal(interpose_sign_words(), "curves and RSA keys");
}

#define ROW(test) cmocka_unit_test_teardown(test, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
            ROW(completes_a_key_as_it_was),
            ROW(decrypts),
            ROW(keeps_the_keys_used_last),
            ROW(leaves_alone_what_needs_no_help),
            ROW(leaves_alone_what_is_no_key),
            ROW(wipes_the_primes),
            ROW(keeps_no_key_longer_than_the_tpm_does),
            ROW(serves_curves_that_libcrypto_has),
            ROW(another_curve_or_generator_is_its_own),
            ROW(says_what_it_does),
        };

        if (CRYPTO_set_mem_functions(watched_malloc, watched_realloc, watched_free) != 1)
                return 1;
        assert_string_equal(interpose_sign_words(), "nothing");
        interpose_sign_warm_up();
        return cmocka_run_group_tests_name("interpose-sign", tests, NULL, NULL);
}
