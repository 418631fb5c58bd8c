#include "crypto/cfb.h"

#include <limits.h>

#include <openssl/evp.h>

DEFINE_CLEANUP(EVP_CIPHER_CTX *, EVP_CIPHER_CTX_free)

static const EVP_CIPHER *cipher_for(size_t key_len)
{
        switch (key_len) {
        case 16:
                return EVP_aes_128_cfb128();
        case 24:
                return EVP_aes_192_cfb128();
        case 32:
                return EVP_aes_256_cfb128();
        default:
                return NULL;
        }
}

int cfb_encrypt(const struct secret *key, struct bytes plain, uint8_t *ret_cipher, struct err *err)
{
        static const uint8_t zero_iv[EVP_MAX_IV_LENGTH];
        EVP_CIPHER_CTX CLEANUP(EVP_CIPHER_CTX_free_p) *ctx = EVP_CIPHER_CTX_new();
        const EVP_CIPHER *cipher = cipher_for(key->len);
        int len = 0;

        if (cipher == NULL || plain.len > INT_MAX)
                return err_set(err, ERR_USAGE, "AES key of %zu bytes", key->len);
        if (ctx == NULL || EVP_EncryptInit_ex(ctx, cipher, NULL, key->data, zero_iv) != 1 ||
            EVP_EncryptUpdate(ctx, ret_cipher, &len, plain.data, (int)plain.len) != 1 ||
            (size_t)len != plain.len)
                return err_set(err, ERR_FAILED, "AES-CFB");
        return 0;
}
