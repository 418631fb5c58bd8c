#include "crypto/passphrase.h"

#include <limits.h>

#include <openssl/evp.h>

#include "crypto/kdf.h"

#define SCRYPT_N      (1U << 14)
#define SCRYPT_R      8
#define SCRYPT_P      1
#define SCRYPT_MEMORY (64U << 20) /* the most that OpenSSL may take */

int passphrase_derive(const struct secret *passphrase, const uint8_t salt[PASSPHRASE_SALT_LEN],
                      const char *label, struct secret **ret_key, struct err *err)
{
        struct secret AUTO_SECRET *stretched = NULL;
        int rc = secret_new(PASSPHRASE_KEY_LEN, &stretched, err);

        if (rc != 0)
                return rc;
        if (EVP_PBE_scrypt((const char *)passphrase->data, passphrase->len, salt,
                           PASSPHRASE_SALT_LEN, SCRYPT_N, SCRYPT_R, SCRYPT_P, SCRYPT_MEMORY,
                           stretched->data, stretched->len) != 1)
                return err_set(err, ERR_FAILED, "key from a passphrase: scrypt failed");
        return kdf_derive(
            &(struct kdf_request){.key = stretched, .label = label, .len = PASSPHRASE_KEY_LEN},
            ret_key, err);
}

int passphrase_pbkdf2(struct bytes passphrase, struct bytes salt, unsigned iterations,
                      struct secret *ret_key, struct err *err)
{
        if (passphrase.len > PASSPHRASE_MAX || salt.len > INT_MAX || iterations > INT_MAX ||
            PKCS5_PBKDF2_HMAC((const char *)passphrase.data, (int)passphrase.len, salt.data,
                              (int)salt.len, (int)iterations, EVP_sha512(), (int)ret_key->len,
                              ret_key->data) != 1)
                return err_set(err, ERR_FAILED, "key from a passphrase: PBKDF2 failed");
        return 0;
}
