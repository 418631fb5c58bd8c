/* Signatures of pkey.h. */
#include <string.h>

#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "crypto/pkey-evp.h"

/* SEQUENCE, two INTEGERs of a coordinate each, and their headers. */
#define ECDSA_DER_MAX (2 * (PKEY_COORDINATE_MAX + 1) + 9)

DEFINE_CLEANUP(ECDSA_SIG *, ECDSA_SIG_free)

static int not_the_keys(struct err *err)
{
        ERR_clear_error();
        return err_set(err, ERR_NOT_TRUSTED, "signature does not verify");
}

/* r and s as OpenSSL's DER; an oversized number is no signature. */
static int ecdsa_to_der(struct bytes r, struct bytes s, uint8_t *ret_der, size_t *ret_len,
                        struct err *err)
{
        ECDSA_SIG CLEANUP(ECDSA_SIG_free_p) *sig = ECDSA_SIG_new();
        BIGNUM *bn_r, *bn_s;
        int len;

        if (r.len > PKEY_COORDINATE_MAX || s.len > PKEY_COORDINATE_MAX)
                return not_the_keys(err);
        bn_r = BN_bin2bn(r.data, (int)r.len, NULL);
        bn_s = BN_bin2bn(s.data, (int)s.len, NULL);
        if (sig == NULL || bn_r == NULL || bn_s == NULL || ECDSA_SIG_set0(sig, bn_r, bn_s) != 1) {
                BN_free(bn_r);
                BN_free(bn_s);
                return pkey_openssl_error(err, ERR_NO_MEMORY, "signature");
        }
        len = i2d_ECDSA_SIG(sig, &ret_der);
        if (len <= 0)
                return pkey_openssl_error(err, ERR_FAILED, "signature");
        *ret_len = (size_t)len;
        return 0;
}

int pkey_verify_ecdsa(const struct pkey *key, const struct hash_alg *hash, struct bytes message,
                      struct bytes r, struct bytes s, struct err *err)
{
        EVP_PKEY_CTX CLEANUP(EVP_PKEY_CTX_free_p) *ctx = NULL;
        uint8_t digest[HASH_SIZE_MAX];
        uint8_t der[ECDSA_DER_MAX];
        size_t der_len = 0;
        int rc;

        if (key->type != PKEY_EC)
                return err_set(err, ERR_USAGE, "an RSA key makes no ECDSA signature");
        rc = ecdsa_to_der(r, s, der, &der_len, err);
        if (rc == 0)
                rc = hash_digest(hash, message.data, message.len, digest, err);
        if (rc != 0)
                return rc;
        ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->evp, NULL);
        if (ctx == NULL || EVP_PKEY_verify_init(ctx) != 1)
                return pkey_openssl_error(err, ERR_FAILED, "verify");
        if (EVP_PKEY_verify(ctx, der, der_len, digest, hash->size) != 1)
                return not_the_keys(err);
        return 0;
}

static bool set_rsa_scheme(EVP_PKEY_CTX *ctx, enum pkey_padding padding,
                           const struct hash_alg *hash)
{
        const EVP_MD *md = EVP_get_digestbyname(hash->name);

        if (md == NULL)
                return false;
        if (padding == PKEY_RSA_PKCS1)
                return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
                       EVP_PKEY_CTX_set_signature_md(ctx, md) == 1;
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
               EVP_PKEY_CTX_set_signature_md(ctx, md) == 1 &&
               EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) == 1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_AUTO) == 1;
}

int pkey_verify_rsa(const struct pkey *key, enum pkey_padding padding, const struct hash_alg *hash,
                    struct bytes message, struct bytes signature, struct err *err)
{
        EVP_PKEY_CTX CLEANUP(EVP_PKEY_CTX_free_p) *ctx = NULL;
        uint8_t digest[HASH_SIZE_MAX];
        int rc;

        if (key->type != PKEY_RSA)
                return err_set(err, ERR_USAGE, "an ECC key makes no RSA signature");
        rc = hash_digest(hash, message.data, message.len, digest, err);
        if (rc != 0)
                return rc;
        ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->evp, NULL);
        if (ctx == NULL || EVP_PKEY_verify_init(ctx) != 1 || !set_rsa_scheme(ctx, padding, hash))
                return pkey_openssl_error(err, ERR_FAILED, "verify");
        if (EVP_PKEY_verify(ctx, signature.data, signature.len, digest, hash->size) != 1)
                return not_the_keys(err);
        return 0;
}

int pkey_verify_es256(const struct pkey *key, struct bytes message, struct bytes signature,
                      struct err *err)
{
        const size_t half = PKEY_ES256_SIZE / 2;

        if (key->type != PKEY_EC || key->curve != PKEY_P256)
                return err_set(err, ERR_USAGE, "ES256 needs a P-256 key");
        if (signature.len != PKEY_ES256_SIZE)
                return err_set(err, ERR_NOT_TRUSTED, "ES256 signature of %zu bytes", signature.len);
        return pkey_verify_ecdsa(key, hash_by_tpm_id(HASH_TPM_SHA256), message,
                                 (struct bytes){signature.data, half},
                                 (struct bytes){signature.data + half, half}, err);
}

int pkey_sign_digest(const struct pkey *key, const struct hash_alg *hash, const uint8_t *digest,
                     uint8_t *ret_signature, size_t *ret_len, struct err *err)
{
        EVP_PKEY_CTX CLEANUP(EVP_PKEY_CTX_free_p) *ctx = NULL;
        size_t len = PKEY_RSA_SIZE_MAX;

        if (!key->is_private)
                return err_set(err, ERR_USAGE, "a public key does not sign");
        ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->evp, NULL);
        if (ctx == NULL || EVP_PKEY_sign_init(ctx) != 1 ||
            (key->type == PKEY_RSA && !set_rsa_scheme(ctx, PKEY_RSA_PKCS1, hash)) ||
            EVP_PKEY_sign(ctx, ret_signature, &len, digest, hash->size) != 1)
                return pkey_openssl_error(err, ERR_FAILED, "sign");
        *ret_len = len;
        return 0;
}

static int der_to_es256(const uint8_t *der, size_t der_len, uint8_t *ret_signature, struct err *err)
{
        const int half = PKEY_ES256_SIZE / 2;
        ECDSA_SIG CLEANUP(ECDSA_SIG_free_p) *sig = d2i_ECDSA_SIG(NULL, &der, (long)der_len);

        if (sig == NULL || BN_bn2binpad(ECDSA_SIG_get0_r(sig), ret_signature, half) != half ||
            BN_bn2binpad(ECDSA_SIG_get0_s(sig), ret_signature + half, half) != half)
                return pkey_openssl_error(err, ERR_FAILED, "sign");
        return 0;
}

int pkey_sign_es256(const struct pkey *key, struct bytes message,
                    uint8_t ret_signature[PKEY_ES256_SIZE], struct err *err)
{
        EVP_PKEY_CTX CLEANUP(EVP_PKEY_CTX_free_p) *ctx = NULL;
        const struct hash_alg *hash = hash_by_tpm_id(HASH_TPM_SHA256);
        uint8_t digest[HASH_SIZE_MAX];
        uint8_t der[ECDSA_DER_MAX];
        size_t der_len = sizeof(der);
        int rc;

        if (key->type != PKEY_EC || key->curve != PKEY_P256 || !key->is_private)
                return err_set(err, ERR_USAGE, "ES256 needs a private P-256 key");
        rc = hash_digest(hash, message.data, message.len, digest, err);
        if (rc != 0)
                return rc;
        ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->evp, NULL);
        if (ctx == NULL || EVP_PKEY_sign_init(ctx) != 1 ||
            EVP_PKEY_sign(ctx, der, &der_len, digest, hash->size) != 1)
                return pkey_openssl_error(err, ERR_FAILED, "sign");
        return der_to_es256(der, der_len, ret_signature, err);
}
