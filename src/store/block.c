#include "store/block.h"

#include <string.h>

#include "crypto/hash.h"

#define FORMAT_PLAIN   1
#define FORMAT_PROFILE 2 /* the manufacture profile at the end */

void security_block_encode(const struct security_block *block, struct writer *w)
{
        size_t engine_len = strnlen(block->engine, BLOCK_ENGINE_MAX);
        size_t profile_len = strnlen(block->profile, BLOCK_PROFILE_MAX);

        writer_put_be32(w, profile_len > 0 ? FORMAT_PROFILE : FORMAT_PLAIN);
        writer_put(w, block->uuid, sizeof(block->uuid));
        writer_put_be64(w, block->epoch);
        writer_put_be64(w, block->created);
        writer_put(w, block->config_digest, sizeof(block->config_digest));
        writer_put(w, block->engine_digest, sizeof(block->engine_digest));
        writer_put_tpm2b(w, (struct bytes){(const uint8_t *)block->engine, engine_len});
        writer_put_u8(w, (uint8_t)block->n_ek);
        for (size_t i = 0; i < block->n_ek && i < BLOCK_EK_MAX; i++)
                writer_put_tpm2b(w, (struct bytes){block->ek[i].data, block->ek[i].len});
        if (profile_len > 0)
                writer_put_tpm2b(w, (struct bytes){(const uint8_t *)block->profile, profile_len});
}

static int get_fixed(struct reader *r, struct security_block *b)
{
        if (reader_get_copy(r, b->uuid, sizeof(b->uuid)) != 0 ||
            reader_get_be64(r, &b->epoch) != 0 || reader_get_be64(r, &b->created) != 0 ||
            reader_get_copy(r, b->config_digest, sizeof(b->config_digest)) != 0 ||
            reader_get_copy(r, b->engine_digest, sizeof(b->engine_digest)) != 0)
                return ERR_MALFORMED;
        return 0;
}

/* ret_text has room for max characters and a NUL and holds zeros. */
static int get_text(struct reader *r, size_t max, char *ret_text)
{
        struct bytes text;

        if (reader_get_tpm2b(r, max, &text) != 0)
                return ERR_MALFORMED;
        /* A NUL inside would make two encodings of one name. */
        if (text.len > 0 && memchr(text.data, '\0', text.len) != NULL)
                return ERR_MALFORMED;
        if (text.len > 0)
                memcpy(ret_text, text.data, text.len);
        return 0;
}

/* An empty one belongs into the other format. */
static int get_profile(struct reader *r, uint32_t format, struct security_block *b)
{
        if (format == FORMAT_PLAIN)
                return 0;
        if (get_text(r, BLOCK_PROFILE_MAX, b->profile) != 0 || b->profile[0] == '\0')
                return ERR_MALFORMED;
        return 0;
}

static int get_names(struct reader *r, struct security_block *b)
{
        uint8_t count;

        if (reader_get_u8(r, &count) != 0 || count > BLOCK_EK_MAX)
                return ERR_MALFORMED;
        for (b->n_ek = 0; b->n_ek < count; b->n_ek++) {
                struct block_name *name = &b->ek[b->n_ek];
                struct bytes bytes;

                if (reader_get_tpm2b(r, BLOCK_TPM_NAME_MAX, &bytes) != 0)
                        return ERR_MALFORMED;
                if (bytes.len > 0)
                        memcpy(name->data, bytes.data, bytes.len);
                name->len = bytes.len;
        }
        return 0;
}

int security_block_decode(struct bytes encoded, struct security_block *ret_block, struct err *err)
{
        struct reader r = reader_from_bytes(encoded);
        struct security_block block = {0};
        uint32_t format;

        if (reader_get_be32(&r, &format) != 0)
                return err_set(err, ERR_MALFORMED, "security block of %zu bytes", encoded.len);
        if (format != FORMAT_PLAIN && format != FORMAT_PROFILE)
                return err_set(err, ERR_UNSUPPORTED, "security block of format %u", format);
        if (get_fixed(&r, &block) != 0 || get_text(&r, BLOCK_ENGINE_MAX, block.engine) != 0 ||
            get_names(&r, &block) != 0 || get_profile(&r, format, &block) != 0 ||
            reader_finish(&r) != 0)
                return err_set(err, ERR_MALFORMED, "security block malformed at byte %zu",
                               reader_offset(&r));
        *ret_block = block;
        return 0;
}

int security_block_digest(const struct security_block *block, uint8_t ret_digest[BLOCK_DIGEST_LEN],
                          struct err *err)
{
        uint8_t encoded[BLOCK_ENCODED_MAX];
        struct writer w;

        writer_init_fixed(&w, encoded, sizeof(encoded));
        security_block_encode(block, &w);
        if (writer_check(&w) != 0)
                return err_set(err, ERR_LIMIT, "security block too large");
        return hash_digest(hash_by_tpm_id(HASH_TPM_SHA256), encoded, w.len, ret_digest, err);
}
