#include "store/sealed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/writer.h"
#include "crypto/aead.h"
#include "crypto/kdf.h"

#define UUID_LEN     16
#define DIGEST_LEN   32
#define DEK_LEN      AEAD_KEY_LEN
#define WRAPPED_LEN  (DEK_LEN + AEAD_OVERHEAD)
#define SALT_AT      4
#define HEADER_LEN   (SALT_AT + SEALED_SALT_LEN)
#define AAD_LEN      (4 + UUID_LEN + 8 + 8 + DIGEST_LEN + 4)
#define SAVES_A_SALT (1U << 20)

/* The wrap key last used, since deriving one costs as much as the rest of a save. */
struct wrap {
        uint8_t salt[SEALED_SALT_LEN];
        struct secret *key;
};

struct sealer {
        struct secret *storage_key;
        struct wrap seal;
        struct wrap open;
        unsigned saves_left;
};

int sealer_new(const struct secret *key, struct sealer **ret_sealer, struct err *err)
{
        struct sealer *sealer;
        int rc;

        if (key->len != AEAD_KEY_LEN)
                return err_set(err, ERR_LIMIT, "storage key of %zu bytes", key->len);
        sealer = calloc(1, sizeof(*sealer));
        if (sealer == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        rc = secret_new_copy(key->data, key->len, &sealer->storage_key, err);
        if (rc != 0) {
                free(sealer);
                return rc;
        }
        *ret_sealer = sealer;
        return 0;
}

void sealer_free(struct sealer *sealer)
{
        if (sealer == NULL)
                return;
        secret_free(sealer->seal.key);
        secret_free(sealer->open.key);
        secret_free(sealer->storage_key);
        free(sealer);
}

static int wrap_derive(const struct sealer *sealer, struct wrap *wrap, const uint8_t *salt,
                       struct err *err)
{
        struct kdf_request request = {
            .key = sealer->storage_key,
            .salt = {salt, SEALED_SALT_LEN},
            .label = "catena sealed wrap",
            .len = AEAD_KEY_LEN,
        };
        struct secret *key;
        int rc;

        if (wrap->key != NULL && memcmp(wrap->salt, salt, SEALED_SALT_LEN) == 0)
                return 0;
        rc = kdf_derive(&request, &key, err);
        if (rc != 0)
                return rc;
        secret_free(wrap->key);
        wrap->key = key;
        memcpy(wrap->salt, salt, SEALED_SALT_LEN);
        return 0;
}

static int wrap_for_seal(struct sealer *sealer, struct err *err)
{
        uint8_t salt[SEALED_SALT_LEN];
        int rc;

        if (sealer->saves_left > 0)
                return 0;
        if (getrandom(salt, sizeof(salt), 0) != (ssize_t)sizeof(salt))
                return err_set_errno(err, errno, "getrandom");
        rc = wrap_derive(sealer, &sealer->seal, salt, err);
        if (rc == 0)
                sealer->saves_left = SAVES_A_SALT;
        return rc;
}

static struct bytes context_encode(const struct sealed_context *context, uint8_t *memory)
{
        struct writer w;

        writer_init_fixed(&w, memory, AAD_LEN);
        writer_put_be32(&w, SEALED_FORMAT);
        writer_put(&w, context->uuid, UUID_LEN);
        writer_put_be64(&w, context->epoch);
        writer_put_be64(&w, context->sequence);
        writer_put(&w, context->config_digest, DIGEST_LEN);
        writer_put_be32(&w, context->kind);
        return writer_bytes(&w);
}

int sealer_seal(struct sealer *sealer, const struct sealed_context *context, struct bytes plain,
                uint8_t **ret_sealed, struct err *err)
{
        struct secret AUTO_SECRET *dek = NULL;
        uint8_t AUTO_FREE *sealed = NULL;
        uint8_t memory[AAD_LEN];
        struct bytes aad = context_encode(context, memory);
        struct writer w;

        if (plain.len > SEALED_PLAIN_MAX)
                return err_set(err, ERR_LIMIT, "state of %zu bytes", plain.len);
        sealed = malloc(plain.len + SEALED_OVERHEAD);
        if (sealed == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        if (wrap_for_seal(sealer, err) != 0 || secret_new_random(DEK_LEN, &dek, err) != 0)
                return err->code;
        writer_init_fixed(&w, sealed, HEADER_LEN);
        writer_put_be32(&w, SEALED_MAGIC);
        writer_put(&w, sealer->seal.salt, SEALED_SALT_LEN);
        if (aead_seal(sealer->seal.key, aad, (struct bytes){dek->data, dek->len},
                      sealed + HEADER_LEN, err) != 0 ||
            aead_seal(dek, aad, plain, sealed + HEADER_LEN + WRAPPED_LEN, err) != 0)
                return err->code;
        sealer->saves_left--;
        *ret_sealed = TAKE(sealed);
        return 0;
}

static int header_check(struct bytes sealed, struct err *err)
{
        struct reader r = reader_from_bytes(sealed);
        uint32_t magic;

        if (sealed.len < SEALED_OVERHEAD || reader_get_be32(&r, &magic) != 0 ||
            (magic & ~UINT32_C(0xff)) != (SEALED_MAGIC & ~UINT32_C(0xff)))
                return err_set(err, ERR_DAMAGED, "state is not sealed");
        if (magic != SEALED_MAGIC)
                return err_set(err, ERR_UNSUPPORTED, "sealed state of format %u", magic & 0xffU);
        if (sealed.len - SEALED_OVERHEAD > SEALED_PLAIN_MAX)
                return err_set(err, ERR_LIMIT, "sealed state of %zu bytes", sealed.len);
        return 0;
}

int sealer_open(struct sealer *sealer, const struct sealed_context *context, struct bytes sealed,
                uint8_t **ret_plain, struct err *err)
{
        struct secret AUTO_SECRET *dek = NULL;
        uint8_t AUTO_FREE *plain = NULL;
        uint8_t memory[AAD_LEN];
        struct bytes aad = context_encode(context, memory);
        struct bytes wrapped, body;

        if (header_check(sealed, err) != 0 ||
            wrap_derive(sealer, &sealer->open, sealed.data + SALT_AT, err) != 0 ||
            secret_new(DEK_LEN, &dek, err) != 0)
                return err->code;
        wrapped = (struct bytes){sealed.data + HEADER_LEN, WRAPPED_LEN};
        body = (struct bytes){wrapped.data + WRAPPED_LEN, sealed.len - HEADER_LEN - WRAPPED_LEN};
        plain = malloc(body.len - AEAD_OVERHEAD + 1);
        if (plain == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        if (aead_open(sealer->open.key, aad, wrapped, dek->data, err) != 0 ||
            aead_open(dek, aad, body, plain, err) != 0)
                return err_wrap(err, "open sealed state");
        *ret_plain = TAKE(plain);
        return 0;
}
