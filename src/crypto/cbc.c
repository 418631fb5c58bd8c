#include "crypto/cbc.h"

#include <limits.h>

#include <openssl/evp.h>

DEFINE_CLEANUP(EVP_CIPHER_CTX *, EVP_CIPHER_CTX_free)

int cbc_decrypt(const struct secret *key, const uint8_t iv[CBC_BLOCK], struct bytes cipher,
                uint8_t *ret_plain, struct err *err)
{
        EVP_CIPHER_CTX CLEANUP(EVP_CIPHER_CTX_free_p) *ctx = EVP_CIPHER_CTX_new();
        const EVP_CIPHER *aes = key->len == 16 ? EVP_aes_128_cbc() : EVP_aes_256_cbc();
        int len = 0;

        if ((key->len != 16 && key->len != 32) || cipher.len % CBC_BLOCK != 0 ||
            cipher.len > INT_MAX)
                return err_set(err, ERR_USAGE, "AES-CBC: a key of %zu bytes for %zu", key->len,
                               cipher.len);
        if (ctx == NULL || EVP_DecryptInit_ex(ctx, aes, NULL, key->data, iv) != 1 ||
            EVP_CIPHER_CTX_set_padding(ctx, 0) != 1 ||
            EVP_DecryptUpdate(ctx, ret_plain, &len, cipher.data, (int)cipher.len) != 1 ||
            (size_t)len != cipher.len)
                return err_set(err, ERR_FAILED, "AES-CBC");
        return 0;
}
