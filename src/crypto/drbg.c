#include "crypto/drbg.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#define STRENGTH 256

DEFINE_CLEANUP(EVP_RAND *, EVP_RAND_free)
DEFINE_CLEANUP(EVP_RAND_CTX *, EVP_RAND_CTX_free)

/* libcrypto takes entropy from a parent: this one hands out the seed and the nonce, once. */
static EVP_RAND_CTX *new_parent(const struct drbg_request *request)
{
        EVP_RAND CLEANUP(EVP_RAND_free_p) *rand = EVP_RAND_fetch(NULL, "TEST-RAND", NULL);
        EVP_RAND_CTX CLEANUP(EVP_RAND_CTX_free_p) *ctx = EVP_RAND_CTX_new(rand, NULL);
        unsigned strength = STRENGTH;
        OSSL_PARAM params[] = {
            OSSL_PARAM_construct_uint(OSSL_RAND_PARAM_STRENGTH, &strength),
            OSSL_PARAM_construct_octet_string(OSSL_RAND_PARAM_TEST_ENTROPY, request->seed->data,
                                              request->seed->len),
            OSSL_PARAM_construct_octet_string(OSSL_RAND_PARAM_TEST_NONCE,
                                              (void *)(uintptr_t)request->nonce.data,
                                              request->nonce.len),
            OSSL_PARAM_construct_end(),
        };

        if (ctx == NULL || EVP_RAND_instantiate(ctx, STRENGTH, 0, NULL, 0, params) != 1)
                return NULL;
        return TAKE(ctx);
}

static EVP_RAND_CTX *new_drbg(EVP_RAND_CTX *parent, struct bytes personalization)
{
        EVP_RAND CLEANUP(EVP_RAND_free_p) *rand = EVP_RAND_fetch(NULL, "HMAC-DRBG", NULL);
        EVP_RAND_CTX CLEANUP(EVP_RAND_CTX_free_p) *ctx = EVP_RAND_CTX_new(rand, parent);
        char mac[] = "HMAC";
        char digest[] = "SHA256";
        OSSL_PARAM params[] = {
            OSSL_PARAM_construct_utf8_string(OSSL_DRBG_PARAM_MAC, mac, 0),
            OSSL_PARAM_construct_utf8_string(OSSL_DRBG_PARAM_DIGEST, digest, 0),
            OSSL_PARAM_construct_end(),
        };

        if (ctx == NULL || EVP_RAND_instantiate(ctx, STRENGTH, 0, personalization.data,
                                                personalization.len, params) != 1)
                return NULL;
        return TAKE(ctx);
}

int drbg_expand(const struct drbg_request *request, struct secret **ret_bytes, struct err *err)
{
        EVP_RAND_CTX CLEANUP(EVP_RAND_CTX_free_p) *parent = NULL;
        EVP_RAND_CTX CLEANUP(EVP_RAND_CTX_free_p) *drbg = NULL;
        struct secret AUTO_SECRET *bytes = NULL;
        int rc;

        if (request->seed->len != DRBG_SEED_SIZE || request->nonce.len != DRBG_NONCE_SIZE ||
            request->len == 0 || request->len > DRBG_BYTES_MAX)
                return err_set(err, ERR_USAGE, "a seed has %d bytes, its nonce %d", DRBG_SEED_SIZE,
                               DRBG_NONCE_SIZE);
        rc = secret_new(request->len, &bytes, err);
        if (rc != 0)
                return rc;
        parent = new_parent(request);
        if (parent != NULL)
                drbg = new_drbg(parent, request->personalization);
        if (drbg == NULL ||
            EVP_RAND_generate(drbg, bytes->data, bytes->len, STRENGTH, 0, NULL, 0) != 1)
                return err_set(err, ERR_FAILED, "HMAC_DRBG");
        *ret_bytes = TAKE(bytes);
        return 0;
}
