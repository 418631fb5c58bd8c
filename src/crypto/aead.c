#include "crypto/aead.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

static struct {
        EVP_CIPHER *cipher;
        EVP_CIPHER_CTX *context;
} cached;

/* Another key takes the place of the last: much cheaper than EVP_CIPHER_CTX_reset(), which frees
 * everything. */
static void wipe(void)
{
        static const uint8_t nothing[AEAD_KEY_LEN];

        if (EVP_EncryptInit_ex2(cached.context, cached.cipher, nothing, nothing, NULL) != 1)
                (void)EVP_CIPHER_CTX_reset(cached.context);
}

static int failed(struct err *err)
{
        return err_set(err, ERR_FAILED, "OpenSSL: AES-256-GCM failed");
}

static int cache_fill(struct err *err)
{
        if (cached.cipher == NULL)
                cached.cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
        if (cached.context == NULL)
                cached.context = EVP_CIPHER_CTX_new();
        if (cached.cipher == NULL || cached.context == NULL)
                return err_set(err, ERR_FAILED, "OpenSSL has no AES-256-GCM");
        return 0;
}

static int check_sizes(const struct secret *key, struct bytes aad, size_t len, struct err *err)
{
        if (key->len != AEAD_KEY_LEN)
                return err_set(err, ERR_LIMIT, "key of %zu bytes", key->len);
        if (aad.len > AEAD_AAD_MAX || len > AEAD_PLAIN_MAX)
                return err_set(err, ERR_LIMIT, "message of %zu bytes", len);
        return cache_fill(err);
}

/* EVP_CipherUpdate() refuses NULL input in some versions: an empty part is not given at all. */
static int encrypt(EVP_CIPHER_CTX *ctx, struct bytes aad, struct bytes plain, uint8_t *ret)
{
        int n = 0;

        if (aad.len > 0 && EVP_EncryptUpdate(ctx, NULL, &n, aad.data, (int)aad.len) != 1)
                return ERR_FAILED;
        n = 0;
        if (plain.len > 0 && EVP_EncryptUpdate(ctx, ret, &n, plain.data, (int)plain.len) != 1)
                return ERR_FAILED;
        if (n < 0 || (size_t)n != plain.len || EVP_EncryptFinal_ex(ctx, ret + n, &n) != 1)
                return ERR_FAILED;
        if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_LEN, ret + plain.len) != 1)
                return ERR_FAILED;
        return 0;
}

int aead_seal(const struct secret *key, struct bytes aad, struct bytes plain, uint8_t *ret_sealed,
              struct err *err)
{
        EVP_CIPHER_CTX *ctx;
        int rc = check_sizes(key, aad, plain.len, err);

        if (rc != 0)
                return rc;
        if (getrandom(ret_sealed, AEAD_NONCE_LEN, 0) != AEAD_NONCE_LEN)
                return err_set_errno(err, errno, "getrandom");
        ctx = cached.context;
        if (EVP_EncryptInit_ex2(ctx, cached.cipher, key->data, ret_sealed, NULL) != 1 ||
            encrypt(ctx, aad, plain, ret_sealed + AEAD_NONCE_LEN) != 0)
                rc = failed(err);
        wipe();
        return rc;
}

static int decrypt(EVP_CIPHER_CTX *ctx, struct bytes aad, struct bytes body, uint8_t *ret)
{
        uint8_t tag[AEAD_TAG_LEN];
        uint8_t none[16];
        size_t len = body.len - AEAD_TAG_LEN;
        int n = 0;

        memcpy(tag, body.data + len, sizeof(tag));
        if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_LEN, tag) != 1)
                return ERR_FAILED;
        if (aad.len > 0 && EVP_DecryptUpdate(ctx, NULL, &n, aad.data, (int)aad.len) != 1)
                return ERR_FAILED;
        n = 0;
        if (len > 0 && EVP_DecryptUpdate(ctx, ret, &n, body.data, (int)len) != 1)
                return ERR_FAILED;
        if (n < 0 || (size_t)n != len)
                return ERR_FAILED;
        return EVP_DecryptFinal_ex(ctx, none, &n) == 1 ? 0 : ERR_DAMAGED;
}

int aead_open(const struct secret *key, struct bytes aad, struct bytes sealed, uint8_t *ret_plain,
              struct err *err)
{
        struct bytes body;
        int rc;

        if (sealed.len < AEAD_OVERHEAD)
                return err_set(err, ERR_DAMAGED, "%zu bytes are too few to be sealed", sealed.len);
        body.data = sealed.data + AEAD_NONCE_LEN;
        body.len = sealed.len - AEAD_NONCE_LEN;
        rc = check_sizes(key, aad, sealed.len - AEAD_OVERHEAD, err);
        if (rc != 0)
                return rc;
        if (EVP_DecryptInit_ex2(cached.context, cached.cipher, key->data, sealed.data, NULL) != 1)
                rc = ERR_FAILED;
        else
                rc = decrypt(cached.context, aad, body, ret_plain);
        wipe();
        if (rc == 0)
                return 0;
        OPENSSL_cleanse(ret_plain, sealed.len - AEAD_OVERHEAD);
        return rc == ERR_DAMAGED ? err_set(err, rc, "authentication failed") : failed(err);
}
