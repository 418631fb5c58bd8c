#include "crypto/kdf.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "base/writer.h"

#define INFO_MAX (2 + KDF_LABEL_MAX + KDF_CONTEXT_MAX)

static struct {
        EVP_KDF_CTX *hkdf;
        EVP_MAC_CTX *hmac;
} cached;

static int hkdf_fill(struct err *err)
{
        EVP_KDF *kdf;

        if (cached.hkdf != NULL)
                return 0;
        kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
        cached.hkdf = EVP_KDF_CTX_new(kdf);
        EVP_KDF_free(kdf);
        return cached.hkdf != NULL ? 0 : err_set(err, ERR_FAILED, "OpenSSL has no HKDF");
}

int kdf_hkdf(const struct secret *key, struct bytes salt, struct bytes info, struct secret *ret_key,
             struct err *err)
{
        char digest[] = "SHA256";
        OSSL_PARAM params[5] = {
            OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
            OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key->data, key->len),
        };
        size_t n = 2;
        int rc = hkdf_fill(err);

        if (rc != 0)
                return rc;
        /* OSSL_PARAM takes pointers to what it only reads. */
        if (salt.len > 0)
                params[n++] = OSSL_PARAM_construct_octet_string(
                    OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt.data, salt.len);
        if (info.len > 0)
                params[n++] = OSSL_PARAM_construct_octet_string(
                    OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)info.data, info.len);
        params[n] = OSSL_PARAM_construct_end();
        if (EVP_KDF_derive(cached.hkdf, ret_key->data, ret_key->len, params) != 1)
                rc = err_set(err, ERR_FAILED, "OpenSSL: HKDF failed");
        EVP_KDF_CTX_reset(cached.hkdf);
        return rc;
}

int kdf_derive(const struct kdf_request *request, struct secret **ret_key, struct err *err)
{
        uint8_t info[INFO_MAX];
        struct secret AUTO_SECRET *key = NULL;
        struct writer w;
        size_t label_len = strlen(request->label);

        if (label_len == 0 || label_len > KDF_LABEL_MAX || request->context.len > KDF_CONTEXT_MAX)
                return err_set(err, ERR_LIMIT, "label or context of a key too long");
        writer_init_fixed(&w, info, sizeof(info));
        writer_put_be16(&w, (uint16_t)label_len);
        writer_put_text(&w, request->label);
        writer_put_bytes(&w, request->context);
        if (writer_check(&w) != 0)
                return err_set(err, ERR_LIMIT, "label or context of a key too long");
        if (secret_new(request->len, &key, err) != 0 ||
            kdf_hkdf(request->key, request->salt, writer_bytes(&w), key, err) != 0)
                return err_wrap(err, "derive key \"%s\"", request->label);
        *ret_key = TAKE(key);
        return 0;
}

static int hmac_fill(struct err *err)
{
        EVP_MAC *mac;

        if (cached.hmac != NULL)
                return 0;
        mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
        cached.hmac = EVP_MAC_CTX_new(mac);
        EVP_MAC_free(mac);
        return cached.hmac != NULL ? 0 : err_set(err, ERR_FAILED, "OpenSSL has no HMAC");
}

int kdf_mac(const struct secret *key, struct bytes data, uint8_t *ret_mac, struct err *err)
{
        static const uint8_t nothing[1];
        char digest[] = "SHA256";
        const OSSL_PARAM params[] = {
            OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
            OSSL_PARAM_construct_end(),
        };
        size_t len = 0;
        int rc = hmac_fill(err);

        if (rc != 0)
                return rc;
        if (EVP_MAC_init(cached.hmac, key->data, key->len, params) != 1 ||
            EVP_MAC_update(cached.hmac, data.len > 0 ? data.data : nothing, data.len) != 1 ||
            EVP_MAC_final(cached.hmac, ret_mac, &len, KDF_MAC_LEN) != 1 || len != KDF_MAC_LEN)
                rc = err_set(err, ERR_FAILED, "OpenSSL: HMAC failed");
        /* Takes the place of the key: EVP_MAC has no reset. */
        (void)EVP_MAC_init(cached.hmac, nothing, sizeof(nothing), params);
        return rc;
}
