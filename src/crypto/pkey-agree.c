/* Key agreement and encryption of pkey.h. */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rsa.h>

#include "crypto/pkey-evp.h"

int pkey_ecdh(const struct pkey *private_key, const struct pkey *peer, struct secret **ret_x,
              struct err *err)
{
        EVP_PKEY_CTX CLEANUP(EVP_PKEY_CTX_free_p) *ctx = NULL;
        struct secret AUTO_SECRET *x = NULL;
        size_t len;
        int rc;

        if (private_key->type != PKEY_EC || peer->type != PKEY_EC || !private_key->is_private ||
            private_key->curve != peer->curve)
                return err_set(err, ERR_USAGE, "ECDH needs two keys on one curve");
        len = pkey_coordinate_size(peer->curve);
        rc = secret_new(len, &x, err);
        if (rc != 0)
                return rc;
        ctx = EVP_PKEY_CTX_new_from_pkey(NULL, private_key->evp, NULL);
        if (ctx == NULL || EVP_PKEY_derive_init(ctx) != 1 ||
            EVP_PKEY_derive_set_peer(ctx, peer->evp) != 1 ||
            EVP_PKEY_derive(ctx, x->data, &len) != 1 || len != x->len)
                return pkey_openssl_error(err, ERR_FAILED, "ECDH");
        *ret_x = TAKE(x);
        return 0;
}

static bool set_oaep(EVP_PKEY_CTX *ctx, const EVP_MD *md, struct bytes label)
{
        void *copy;

        if (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) != 1 ||
            EVP_PKEY_CTX_set_rsa_oaep_md(ctx, md) != 1 ||
            EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) != 1)
                return false;
        if (label.len == 0)
                return true;
        copy = OPENSSL_memdup(label.data, label.len); /* the context takes it over */
        if (copy == NULL)
                return false;
        if (EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, copy, (int)label.len) == 1)
                return true;
        OPENSSL_free(copy);
        return false;
}

int pkey_encrypt_oaep(const struct pkey *key, const struct hash_alg *hash, struct bytes label,
                      struct bytes plain, uint8_t *ret_cipher, size_t *ret_len, struct err *err)
{
        EVP_PKEY_CTX CLEANUP(EVP_PKEY_CTX_free_p) *ctx = NULL;
        const EVP_MD *md = EVP_get_digestbyname(hash->name);
        size_t len = PKEY_RSA_SIZE_MAX;

        if (key->type != PKEY_RSA || md == NULL)
                return err_set(err, ERR_USAGE, "OAEP needs an RSA key");
        ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->evp, NULL);
        if (ctx == NULL || EVP_PKEY_encrypt_init(ctx) != 1 || !set_oaep(ctx, md, label) ||
            EVP_PKEY_encrypt(ctx, ret_cipher, &len, plain.data, plain.len) != 1)
                return pkey_openssl_error(err, ERR_FAILED, "OAEP");
        *ret_len = len;
        return 0;
}
