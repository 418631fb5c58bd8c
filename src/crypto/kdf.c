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
