#include "crypto/test-sign.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/rsa.h>

#include "crypto/pkey-evp.h"

#define CHECK(condition)                                                                           \
        do {                                                                                       \
                if (!(condition))                                                                  \
                        abort();                                                                   \
        } while (0)

void test_rsa_generate(unsigned bits, struct test_rsa *ret_rsa)
{
        struct err err = {0};
        EVP_PKEY *evp = EVP_RSA_gen(bits);
        BIGNUM *n = NULL;

        CHECK(evp != NULL);
        CHECK(EVP_PKEY_get_bn_param(evp, OSSL_PKEY_PARAM_RSA_N, &n) == 1);
        ret_rsa->n_len = (size_t)BN_bn2bin(n, ret_rsa->n);
        BN_free(n);
        if (pkey_from_evp(evp, true, &ret_rsa->key, &err) != 0)
                ret_rsa->key = NULL;
}

static size_t sign(const struct pkey *key, int padding, const char *hash, struct bytes message,
                   uint8_t *ret, size_t room)
{
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        EVP_PKEY_CTX *key_ctx = NULL;

        CHECK(EVP_DigestSignInit(ctx, &key_ctx, EVP_get_digestbyname(hash), NULL, key->evp) == 1);
        if (padding != 0)
                CHECK(EVP_PKEY_CTX_set_rsa_padding(key_ctx, padding) == 1);
        if (padding == RSA_PKCS1_PSS_PADDING)
                CHECK(EVP_PKEY_CTX_set_rsa_pss_saltlen(key_ctx, RSA_PSS_SALTLEN_DIGEST) == 1);
        CHECK(EVP_DigestSign(ctx, ret, &room, message.data, message.len) == 1);
        EVP_MD_CTX_free(ctx);
        return room;
}

size_t test_sign_rsa(const struct pkey *key, enum pkey_padding padding, const char *hash,
                     struct bytes message, uint8_t *ret_signature)
{
        return sign(key, padding == PKEY_RSA_PSS ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING, hash,
                    message, ret_signature, PKEY_RSA_SIZE_MAX);
}

void test_sign_ecdsa(const struct pkey *key, const char *hash, struct bytes message, uint8_t *ret_r,
                     uint8_t *ret_s)
{
        uint8_t der[256];
        const uint8_t *p = der;
        int size = (int)pkey_coordinate_size(pkey_curve(key));
        size_t len = sign(key, 0, hash, message, der, sizeof(der));
        ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)len);

        CHECK(sig != NULL);
        CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(sig), ret_r, size) == size);
        CHECK(BN_bn2binpad(ECDSA_SIG_get0_s(sig), ret_s, size) == size);
        ECDSA_SIG_free(sig);
}
