#include "crypto/hmac.h"

#include <stdio.h>

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
