#include <fcntl.h>
#include <sys/stat.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "base/fs.h"
#include "base/hex.h"
#include "crypto/pkey-evp.h"
#include "lib/test.h"

#define MESSAGE ((struct bytes){(const uint8_t *)"what a TPM signed", 17})

static EVP_PKEY *make_rsa(unsigned bits, unsigned long e)
{
        EVP_PKEY_CTX CLEANUP(EVP_PKEY_CTX_free_p) *ctx =
            EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
        BIGNUM *exponent = BN_new();
        EVP_PKEY *evp = NULL;

        assert_non_null(exponent);
        assert_int_equal(BN_set_word(exponent, e), 1);
        assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int)bits), 1);
        assert_int_equal(EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, exponent), 1);
        assert_int_equal(EVP_PKEY_generate(ctx, &evp), 1);
        BN_free(exponent);
        return evp;
}

static size_t sign(EVP_PKEY *evp, const char *hash, int padding, int salt, uint8_t *ret)
{
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        EVP_PKEY_CTX *key_ctx = NULL;
        size_t len = PKEY_RSA_SIZE_MAX;

        assert_int_equal(EVP_DigestSignInit(ctx, &key_ctx, EVP_get_digestbyname(hash), NULL, evp),
                         1);
        if (padding != 0)
                assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(key_ctx, padding), 1);
        if (padding == RSA_PKCS1_PSS_PADDING)
                assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(key_ctx, salt), 1);
        assert_int_equal(EVP_DigestSign(ctx, ret, &len, MESSAGE.data, MESSAGE.len), 1);
        EVP_MD_CTX_free(ctx);
        return len;
}

static void es256_round_trip(void **state)
{
        struct err err = {0};
        struct pkey AUTO_PKEY *key = NULL;
        struct pkey AUTO_PKEY *other = NULL;
        struct pkey AUTO_PKEY *big = NULL;
        uint8_t sig[PKEY_ES256_SIZE];

        (void)state;
        assert_ok(pkey_generate_ec(PKEY_P256, &key, &err), &err);
        assert_ok(pkey_generate_ec(PKEY_P256, &other, &err), &err);
        assert_ok(pkey_generate_ec(PKEY_P384, &big, &err), &err);
        assert_ok(pkey_sign_es256(key, MESSAGE, sig, &err), &err);
        assert_ok(pkey_verify_es256(key, MESSAGE, (struct bytes){sig, sizeof(sig)}, &err), &err);
        assert_int_equal(pkey_verify_es256(other, MESSAGE, (struct bytes){sig, sizeof(sig)}, &err),
                         ERR_NOT_TRUSTED);
        assert_int_equal(pkey_verify_es256(key, (struct bytes){MESSAGE.data, 16},
                                           (struct bytes){sig, sizeof(sig)}, &err),
                         ERR_NOT_TRUSTED);
        assert_int_equal(pkey_verify_es256(key, MESSAGE, (struct bytes){sig, 63}, &err),
                         ERR_NOT_TRUSTED);
        assert_int_equal(pkey_sign_es256(big, MESSAGE, sig, &err), ERR_USAGE);
        memset(sig, 0, sizeof(sig)); /* r = s = 0 */
        assert_int_equal(pkey_verify_es256(key, MESSAGE, (struct bytes){sig, sizeof(sig)}, &err),
                         ERR_NOT_TRUSTED);
        memset(sig, 0xff, sizeof(sig)); /* beyond the order */
        assert_int_equal(pkey_verify_es256(key, MESSAGE, (struct bytes){sig, sizeof(sig)}, &err),
                         ERR_NOT_TRUSTED);
}

static void pem_round_trip(void **state)
{
        struct err err = {0};
        struct pkey AUTO_PKEY *key = NULL;
        struct pkey AUTO_PKEY *loaded = NULL;
        struct pkey AUTO_PKEY *public = NULL;
        struct pkey AUTO_PKEY *from_der = NULL;
        struct pkey AUTO_PKEY *from_point = NULL;
        char AUTO_FREE *pem = NULL;
        uint8_t AUTO_FREE *der = NULL;
        size_t der_len = 0;
        char path[4096];
        struct stat st;
        struct pkey_point point;

        (void)state;
        assert_ok(fs_join(path, sizeof(path), test_dir(), "key.pem", &err), &err);
        assert_ok(pkey_generate_ec(PKEY_P256, &key, &err), &err);
        assert_ok(pkey_save_private(key, path, &err), &err);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        assert_ok(pkey_load_private(path, &loaded, &err), &err);
        assert_true(pkey_equal_public(key, loaded));
        assert_true(pkey_is_private(loaded));

        assert_ok(pkey_to_public_pem(key, &pem, &err), &err);
        assert_ok(pkey_from_public_pem((struct bytes){(uint8_t *)pem, strlen(pem)}, &public, &err),
                  &err);
        assert_true(pkey_equal_public(key, public));
        assert_false(pkey_is_private(public));
        assert_int_equal(pkey_save_private(public, path, &err), ERR_USAGE);

        assert_ok(pkey_to_public_der(key, &der, &der_len, &err), &err);
        assert_ok(pkey_from_public_der((struct bytes){der, der_len}, &from_der, &err), &err);
        assert_true(pkey_equal_public(key, from_der));
        assert_int_not_equal(
            pkey_from_public_der((struct bytes){der, der_len - 1}, &from_der, &err), 0);

        assert_ok(pkey_get_point(key, &point, &err), &err);
        assert_ok(pkey_new_ec(PKEY_P256, (struct bytes){point.x, point.size},
                              (struct bytes){point.y, point.size}, &from_point, &err),
                  &err);
        assert_true(pkey_equal_public(key, from_point));
}

static void der_with_more_after_it(void **state)
{
        struct err err = {0};
        struct pkey AUTO_PKEY *key = NULL;
        struct pkey *poisoned = (struct pkey *)1;
        uint8_t AUTO_FREE *der = NULL;
        uint8_t longer[PKEY_DER_MAX];
        size_t len = 0;

        (void)state;
        assert_ok(pkey_generate_ec(PKEY_P384, &key, &err), &err);
        assert_ok(pkey_to_public_der(key, &der, &len, &err), &err);
        memcpy(longer, der, len);
        longer[len] = 0;
        assert_int_equal(pkey_from_public_der((struct bytes){longer, len + 1}, &poisoned, &err),
                         ERR_MALFORMED);
        assert_ptr_equal(poisoned, (struct pkey *)1);
}

/* S-ALG and the padding of each signature are told apart. */
static void rsa_signatures(void **state)
{
        static const struct {
                const char *name, *signed_with, *checked_with;
                int padding, salt;
                enum pkey_padding check;
                int want;
        } rows[] = {
            {"PKCS#1", "sha256", "sha256", RSA_PKCS1_PADDING, 0, PKEY_RSA_PKCS1, 0},
            {"PKCS#1 sha384", "sha384", "sha384", RSA_PKCS1_PADDING, 0, PKEY_RSA_PKCS1, 0},
            {"PSS, salt of the hash", "sha256", "sha256", RSA_PKCS1_PSS_PADDING, 32, PKEY_RSA_PSS,
             0},
            {"PSS, largest salt", "sha256", "sha256", RSA_PKCS1_PSS_PADDING,
             RSA_PSS_SALTLEN_MAX_SIGN, PKEY_RSA_PSS, 0},
            {"S-PSS", "sha256", "sha256", RSA_PKCS1_PSS_PADDING, 32, PKEY_RSA_PKCS1,
             ERR_NOT_TRUSTED},
            {"PKCS#1 as PSS", "sha256", "sha256", RSA_PKCS1_PADDING, 0, PKEY_RSA_PSS,
             ERR_NOT_TRUSTED},
            {"other hash", "sha384", "sha256", RSA_PKCS1_PADDING, 0, PKEY_RSA_PKCS1,
             ERR_NOT_TRUSTED},
        };
        struct err err = {0};
        struct pkey AUTO_PKEY *key = NULL;
        struct pkey AUTO_PKEY *ec = NULL;
        EVP_PKEY *evp = make_rsa(2048, 65537);

        (void)state;
        assert_ok(pkey_from_evp(evp, true, &key, &err), &err);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                uint8_t sig[PKEY_RSA_SIZE_MAX];
                size_t len = sign(evp, rows[i].signed_with, rows[i].padding, rows[i].salt, sig);
                int rc = pkey_verify_rsa(key, rows[i].check, hash_by_name(rows[i].checked_with),
                                         MESSAGE, (struct bytes){sig, len}, &err);

                if (rc != rows[i].want)
                        fail_msg("%s: %d", rows[i].name, rc);
        }
        assert_ok(pkey_generate_ec(PKEY_P256, &ec, &err), &err);
        assert_int_equal(
            pkey_verify_rsa(ec, PKEY_RSA_PSS, hash_by_name("sha256"), MESSAGE, MESSAGE, &err),
            ERR_USAGE);
        assert_int_equal(
            pkey_verify_ecdsa(key, hash_by_name("sha256"), MESSAGE, MESSAGE, MESSAGE, &err),
            ERR_USAGE);
}

/* K-SMALL */
static void weak_rsa(void **state)
{
        static const struct {
                const char *name;
                unsigned bits;
                unsigned long e; /* written into the handle instead of the real one */
        } rows[] = {
            {"RSA-1024", 1024, 65537}, {"e = 1", 2048, 1},      {"e = 3", 2048, 3},
            {"e = 0", 2048, 0},        {"e even", 2048, 65538},
        };
        struct err err = {0};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                EVP_PKEY CLEANUP(EVP_PKEY_free_p) *evp = make_rsa(rows[i].bits, 65537);
                BIGNUM *n = NULL;
                uint8_t modulus[PKEY_RSA_SIZE_MAX];
                struct pkey *poisoned = (struct pkey *)1;
                int len;

                assert_int_equal(EVP_PKEY_get_bn_param(evp, OSSL_PKEY_PARAM_RSA_N, &n), 1);
                len = BN_bn2bin(n, modulus);
                BN_free(n);
                if (pkey_new_rsa((struct bytes){modulus, (size_t)len}, (uint32_t)rows[i].e,
                                 &poisoned, &err) == 0)
                        fail_msg("%s was accepted", rows[i].name);
                assert_ptr_equal(poisoned, (struct pkey *)1);
        }
        {
                uint8_t prime_power[256] = {0};
                struct pkey *poisoned = (struct pkey *)1;

                prime_power[0] = 0x80; /* 2^2047: even, a power */
                assert_int_not_equal(
                    pkey_new_rsa((struct bytes){prime_power, 256}, 65537, &poisoned, &err), 0);
                assert_int_not_equal(
                    pkey_new_rsa((struct bytes){prime_power, 0}, 65537, &poisoned, &err), 0);
        }
}

/* K-SMALL: weak curves, invalid points */
static void weak_curves(void **state)
{
        static const char *const names[] = {"secp224r1", "prime192v1", "secp256k1"};
        struct err err = {0};
        struct pkey AUTO_PKEY *key = NULL;
        struct pkey *poisoned = (struct pkey *)1;
        struct pkey_point point;
        uint8_t zero[67] = {0};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                EVP_PKEY *evp = EVP_EC_gen(names[i]);

                if (evp != NULL)
                        assert_int_equal(pkey_from_evp(evp, false, &poisoned, &err),
                                         ERR_UNSUPPORTED);
        }
        assert_int_equal(
            pkey_from_evp(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), false, &poisoned, &err),
            ERR_UNSUPPORTED);
        assert_ok(pkey_generate_ec(PKEY_P256, &key, &err), &err);
        assert_ok(pkey_get_point(key, &point, &err), &err);
        point.y[31] ^= 1; /* off the curve */
        assert_int_equal(pkey_new_ec(PKEY_P256, (struct bytes){point.x, 32},
                                     (struct bytes){point.y, 32}, &poisoned, &err),
                         ERR_MALFORMED);
        point.y[31] ^= 1; /* the right point on the wrong curve */
        assert_int_equal(pkey_new_ec(PKEY_P384, (struct bytes){point.x, 32},
                                     (struct bytes){point.y, 32}, &poisoned, &err),
                         ERR_MALFORMED);
        assert_int_equal(pkey_new_ec(PKEY_P256, (struct bytes){zero, 0}, (struct bytes){zero, 0},
                                     &poisoned, &err),
                         ERR_MALFORMED);
        zero[0] = 1;
        assert_int_equal(pkey_new_ec(PKEY_P521, (struct bytes){zero, 67}, (struct bytes){zero, 1},
                                     &poisoned, &err),
                         ERR_MALFORMED);
        assert_ptr_equal(poisoned, (struct pkey *)1);
}

static void bad_pem(void **state)
{
        static const struct {
                const char *name, *pem;
        } rows[] = {
            {"empty", ""},
            {"no PEM", "hello"},
            {"header only", "-----BEGIN PUBLIC KEY-----\n"},
            {"nonsense", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"},
            {"encrypted", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n"
                          "-----END ENCRYPTED PRIVATE KEY-----\n"},
        };
        struct err err = {0};
        struct pkey *poisoned = (struct pkey *)1;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct bytes pem = {(const uint8_t *)rows[i].pem, strlen(rows[i].pem)};

                if (pkey_from_public_pem(pem, &poisoned, &err) != ERR_MALFORMED ||
                    pkey_from_private_pem(pem, &poisoned, &err) != ERR_MALFORMED)
                        fail_msg("%s", rows[i].name);
        }
        assert_int_equal(pkey_load_private("/nonexistent/key", &poisoned, &err), ERR_NOT_FOUND);
        assert_ptr_equal(poisoned, (struct pkey *)1);
}

static void agreement(void **state)
{
        struct err err = {0};
        struct pkey AUTO_PKEY *a = NULL;
        struct pkey AUTO_PKEY *b = NULL;
        struct pkey AUTO_PKEY *c = NULL;
        struct secret AUTO_SECRET *ab = NULL;
        struct secret AUTO_SECRET *ba = NULL;
        struct secret *poisoned = (struct secret *)1;

        (void)state;
        assert_ok(pkey_generate_ec(PKEY_P521, &a, &err), &err);
        assert_ok(pkey_generate_ec(PKEY_P521, &b, &err), &err);
        assert_ok(pkey_generate_ec(PKEY_P256, &c, &err), &err);
        assert_ok(pkey_ecdh(a, b, &ab, &err), &err);
        assert_ok(pkey_ecdh(b, a, &ba, &err), &err);
        assert_int_equal(ab->len, 66);
        assert_true(ba->len == ab->len && secret_equal(ab->data, ba->data, ab->len));
        assert_int_equal(pkey_ecdh(a, c, &poisoned, &err), ERR_USAGE);
        assert_ptr_equal(poisoned, (struct secret *)1);
}

static void oaep(void **state)
{
        static const uint8_t label[] = "IDENTITY";
        struct err err = {0};
        struct pkey AUTO_PKEY *key = NULL;
        EVP_PKEY *evp = make_rsa(2048, 65537);
        uint8_t cipher[PKEY_RSA_SIZE_MAX], plain[PKEY_RSA_SIZE_MAX];
        size_t len = 0, plain_len = sizeof(plain);
        EVP_PKEY_CTX CLEANUP(EVP_PKEY_CTX_free_p) *ctx =
            EVP_PKEY_CTX_new_from_pkey(NULL, evp, NULL);

        (void)state;
        assert_ok(pkey_from_evp(evp, true, &key, &err), &err);
        assert_ok(pkey_encrypt_oaep(key, hash_by_name("sha256"),
                                    (struct bytes){label, sizeof(label)}, MESSAGE, cipher, &len,
                                    &err),
                  &err);
        assert_int_equal(len, 256);
        assert_int_equal(EVP_PKEY_decrypt_init(ctx), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()), 1);
        assert_int_equal(EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, OPENSSL_memdup(label, sizeof(label)),
                                                          sizeof(label)),
                         1);
        assert_int_equal(EVP_PKEY_decrypt(ctx, plain, &plain_len, cipher, len), 1);
        assert_int_equal(plain_len, MESSAGE.len);
        assert_memory_equal(plain, MESSAGE.data, plain_len);
}

/* Both kinds of key, and the other side's verification. */
static void signs_digests(void **state)
{
        static const uint8_t message[] = "what is signed";
        const struct hash_alg *hash = hash_by_tpm_id(HASH_TPM_SHA256);
        struct pkey AUTO_PKEY *rsa = NULL;
        struct pkey AUTO_PKEY *ec = NULL;
        uint8_t digest[HASH_SIZE_MAX];
        uint8_t signature[PKEY_RSA_SIZE_MAX];
        size_t len = 0;
        struct err err = {0};

        (void)state;
        assert_ok(hash_digest(hash, message, sizeof(message), digest, &err), &err);
        assert_ok(pkey_generate_rsa(2048, &rsa, &err), &err);
        assert_ok(pkey_sign_digest(rsa, hash, digest, signature, &len, &err), &err);
        assert_ok(pkey_verify_rsa(rsa, PKEY_RSA_PKCS1, hash,
                                  (struct bytes){message, sizeof(message)},
                                  (struct bytes){signature, len}, &err),
                  &err);
        assert_ok(pkey_generate_ec(PKEY_P256, &ec, &err), &err);
        assert_ok(pkey_sign_digest(ec, hash, digest, signature, &len, &err), &err);
        assert_in_range(len, 8, 72);
        assert_int_equal(pkey_generate_rsa(1024, &rsa, &err), ERR_UNSUPPORTED);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(es256_round_trip),
            cmocka_unit_test(pem_round_trip),
            cmocka_unit_test(der_with_more_after_it),
            cmocka_unit_test(rsa_signatures),
            cmocka_unit_test(weak_rsa),
            cmocka_unit_test(weak_curves),
            cmocka_unit_test(bad_pem),
            cmocka_unit_test(agreement),
            cmocka_unit_test(oaep),
            cmocka_unit_test(signs_digests),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
