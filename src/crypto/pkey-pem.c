/* PEM, DER and files of pkey.h. */
#include <string.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/fs.h"
#include "crypto/pkey-evp.h"

DEFINE_CLEANUP(BIO *, BIO_free)

/* An encrypted key is an error, never a question on a terminal. */
/* NOLINTNEXTLINE(readability-non-const-parameter): the type is OpenSSL's */
static int no_password(char *buffer, int size, int writing, void *context)
{
        (void)buffer;
        (void)size;
        (void)writing;
        (void)context;
        return -1;
}

int pkey_from_public_pem(struct bytes pem, struct pkey **ret_key, struct err *err)
{
        BIO CLEANUP(BIO_free_p) *bio = NULL;

        if (pem.len == 0 || pem.len > PKEY_PEM_MAX)
                return err_set(err, ERR_MALFORMED, "PEM of %zu bytes", pem.len);
        bio = BIO_new_mem_buf(pem.data, (int)pem.len);
        if (bio == NULL)
                return pkey_openssl_error(err, ERR_NO_MEMORY, "PEM");
        return pkey_from_evp(PEM_read_bio_PUBKEY(bio, NULL, no_password, NULL), false, ret_key,
                             err);
}

int pkey_from_public_der(struct bytes der, struct pkey **ret_key, struct err *err)
{
        const uint8_t *p = der.data;
        EVP_PKEY CLEANUP(EVP_PKEY_free_p) *evp = NULL;

        if (der.len == 0 || der.len > PKEY_DER_MAX)
                return err_set(err, ERR_MALFORMED, "public key of %zu bytes", der.len);
        evp = d2i_PUBKEY(NULL, &p, (long)der.len);
        if (evp != NULL && p != der.data + der.len)
                return err_set(err, ERR_MALFORMED, "bytes after the public key");
        return pkey_from_evp(TAKE(evp), false, ret_key, err);
}

int pkey_from_private_pem(struct bytes pem, struct pkey **ret_key, struct err *err)
{
        BIO CLEANUP(BIO_free_p) *bio = NULL;

        if (pem.len == 0 || pem.len > PKEY_PEM_MAX)
                return err_set(err, ERR_MALFORMED, "PEM of %zu bytes", pem.len);
        bio = BIO_new_mem_buf(pem.data, (int)pem.len);
        if (bio == NULL)
                return pkey_openssl_error(err, ERR_NO_MEMORY, "PEM");
        return pkey_from_evp(PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL), true, ret_key,
                             err);
}

int pkey_to_public_der(const struct pkey *key, uint8_t **ret_der, size_t *ret_len, struct err *err)
{
        uint8_t AUTO_FREE *copy = NULL;
        uint8_t *der = NULL;
        int len = i2d_PUBKEY(key->evp, &der);

        if (len <= 0)
                return pkey_openssl_error(err, ERR_FAILED, "public key");
        copy = malloc((size_t)len);
        if (copy != NULL)
                memcpy(copy, der, (size_t)len);
        OPENSSL_free(der);
        if (copy == NULL)
                return err_set(err, ERR_NO_MEMORY, "public key");
        *ret_der = TAKE(copy);
        *ret_len = (size_t)len;
        return 0;
}

int pkey_to_public_pem(const struct pkey *key, char **ret_pem, struct err *err)
{
        BIO CLEANUP(BIO_free_p) *bio = BIO_new(BIO_s_mem());
        const char *memory = NULL;
        char *text;
        long len;

        if (bio == NULL || PEM_write_bio_PUBKEY(bio, key->evp) != 1)
                return pkey_openssl_error(err, ERR_FAILED, "public key");
        len = BIO_get_mem_data(bio, &memory);
        text = len <= 0 ? NULL : strndup(memory, (size_t)len);
        if (text == NULL)
                return err_set(err, ERR_NO_MEMORY, "public key");
        *ret_pem = text;
        return 0;
}

int pkey_save_private(const struct pkey *key, const char *path, struct err *err)
{
        /* Memory of BIO_s_secmem() is wiped when it is freed. */
        BIO CLEANUP(BIO_free_p) *bio = BIO_new(BIO_s_secmem());
        const char *memory = NULL;
        long len;

        if (!key->is_private)
                return err_set(err, ERR_USAGE, "%s: not a private key", path);
        if (bio == NULL ||
            PEM_write_bio_PKCS8PrivateKey(bio, key->evp, NULL, NULL, 0, no_password, NULL) != 1)
                return pkey_openssl_error(err, ERR_FAILED, "private key");
        len = BIO_get_mem_data(bio, &memory);
        if (len <= 0)
                return pkey_openssl_error(err, ERR_FAILED, "private key");
        return fs_write_file(path, memory, (size_t)len, 0600, err);
}

int pkey_load_private(const char *path, struct pkey **ret_key, struct err *err)
{
        uint8_t AUTO_FREE *pem = NULL;
        size_t len = 0;
        int rc = fs_read_file(path, PKEY_PEM_MAX, &pem, &len, err);

        if (rc != 0)
                return rc;
        rc = pkey_from_private_pem((struct bytes){pem, len}, ret_key, err);
        OPENSSL_cleanse(pem, len);
        if (rc != 0)
                return err_wrap(err, "%s", path);
        return 0;
}
