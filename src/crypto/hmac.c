#include "crypto/hmac.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>

DEFINE_CLEANUP(EVP_MAC *, EVP_MAC_free)
DEFINE_CLEANUP(EVP_MAC_CTX *, EVP_MAC_CTX_free)

int hmac_parts(const struct hash_alg *alg, const struct secret *key, const struct bytes *parts,
               size_t count, uint8_t *ret_mac, struct err *err)
{
        EVP_MAC CLEANUP(EVP_MAC_free_p) *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
        EVP_MAC_CTX CLEANUP(EVP_MAC_CTX_free_p) *ctx = EVP_MAC_CTX_new(mac);
        char name[16];
        size_t len = 0;
        OSSL_PARAM params[2];

        (void)snprintf(name, sizeof(name), "%s", alg->name);
        params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0);
        params[1] = OSSL_PARAM_construct_end();
        if (ctx == NULL || EVP_MAC_init(ctx, key->data, key->len, params) != 1)
                return err_set(err, ERR_FAILED, "HMAC-%s", alg->name);
        for (size_t i = 0; i < count; i++)
                if (EVP_MAC_update(ctx, parts[i].data, parts[i].len) != 1)
                        return err_set(err, ERR_FAILED, "HMAC-%s", alg->name);
        if (EVP_MAC_final(ctx, ret_mac, &len, alg->size) != 1 || len != alg->size)
                return err_set(err, ERR_FAILED, "HMAC-%s", alg->name);
        return 0;
}

struct hmac {
        EVP_MAC_CTX *ctx;
};

int hmac_new(const struct secret *key, struct hmac **ret_hmac, struct err *err)
{
        EVP_MAC CLEANUP(EVP_MAC_free_p) *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
        struct hmac AUTO_HMAC *hmac = calloc(1, sizeof(*hmac));
        char name[] = "SHA256";
        const OSSL_PARAM params[] = {
            OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
            OSSL_PARAM_construct_end(),
        };

        if (hmac == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        hmac->ctx = EVP_MAC_CTX_new(mac);
        if (hmac->ctx == NULL || EVP_MAC_init(hmac->ctx, key->data, key->len, params) != 1)
                return err_set(err, ERR_FAILED, "OpenSSL: HMAC-SHA256");
        *ret_hmac = TAKE(hmac);
        return 0;
}

void hmac_free(struct hmac *hmac)
{
        if (hmac == NULL)
                return;
        EVP_MAC_CTX_free(hmac->ctx);
        free(hmac);
}

int hmac_run(struct hmac *hmac, struct bytes message, uint8_t ret_mac[HMAC_LEN], struct err *err)
{
        size_t len = 0;

        /* Without a key this begins anew with the one it has. */
        if (EVP_MAC_init(hmac->ctx, NULL, 0, NULL) != 1 ||
            (message.len > 0 && EVP_MAC_update(hmac->ctx, message.data, message.len) != 1) ||
            EVP_MAC_final(hmac->ctx, ret_mac, &len, HMAC_LEN) != 1 || len != HMAC_LEN)
                return err_set(err, ERR_FAILED, "OpenSSL: HMAC-SHA256");
        return 0;
}
