#include "swtpm/state-format.h"

#include <string.h>

#include "crypto/hash.h"

#define HEADER_MAC_LEN 32
#define BODY_FORMAT    1

static const uint8_t magic[8] = {'C', 'a', 't', 'e', 'n', 'a', 'V', '1'};

int state_digest(const void *data, size_t len, uint8_t ret[STATE_DIGEST_LEN], struct err *err)
{
        return hash_digest(hash_by_tpm_id(HASH_TPM_SHA256), data, len, ret, err);
}

int state_header_encode(const struct state_header *header, uint8_t ret[STATE_HEADER_LEN],
                        struct err *err)
{
        struct writer w;

        memset(ret, 0, STATE_HEADER_LEN);
        writer_init_fixed(&w, ret, STATE_HEADER_LEN);
        writer_put(&w, magic, sizeof(magic));
        writer_put_be64(&w, header->generation);
        writer_put_be32(&w, header->flags);
        writer_put(&w, header->salt, sizeof(header->salt));
        writer_put(&w, header->uuid, sizeof(header->uuid));
        writer_put_be32(&w, header->len);
        writer_put(&w, header->digest, sizeof(header->digest));
        return state_digest(ret, STATE_HEADER_LEN - HEADER_MAC_LEN,
                            ret + STATE_HEADER_LEN - HEADER_MAC_LEN, err);
}

static bool is_zero(const uint8_t data[STATE_HEADER_LEN])
{
        uint8_t any = 0;

        for (size_t i = 0; i < STATE_HEADER_LEN; i++)
                any |= data[i];
        return any == 0;
}

int state_header_decode(const uint8_t data[STATE_HEADER_LEN], struct state_header *ret,
                        struct err *err)
{
        struct reader r = reader_from(data, STATE_HEADER_LEN - HEADER_MAC_LEN);
        uint8_t check[STATE_DIGEST_LEN];
        struct state_header header = {0};
        int rc;

        if (is_zero(data)) {
                *ret = header;
                return 0;
        }
        if (memcmp(data, magic, sizeof(magic)) != 0)
                return err_set(err, ERR_CONFLICT, "something else is there");
        rc = state_digest(data, STATE_HEADER_LEN - HEADER_MAC_LEN, check, err);
        if (rc != 0)
                return rc;
        if (memcmp(check, data + STATE_HEADER_LEN - HEADER_MAC_LEN, sizeof(check)) != 0 ||
            reader_skip(&r, sizeof(magic)) != 0 || reader_get_be64(&r, &header.generation) != 0 ||
            reader_get_be32(&r, &header.flags) != 0 ||
            reader_get_copy(&r, header.salt, sizeof(header.salt)) != 0 ||
            reader_get_copy(&r, header.uuid, sizeof(header.uuid)) != 0 ||
            reader_get_be32(&r, &header.len) != 0 || header.len > STATE_BODY_MAX ||
            reader_get_copy(&r, header.digest, sizeof(header.digest)) != 0)
                return err_set(err, ERR_DAMAGED, "a header is damaged");
        *ret = header;
        return 0;
}

void state_body_encode(const struct state_content *content, struct writer *w)
{
        writer_put_be16(w, BODY_FORMAT);
        writer_put_u8(w, content->used);
        writer_put_be64(w, content->lineage);
        writer_put_u8(w, content->has_saved);
        writer_put(w, content->saved, sizeof(content->saved));
        writer_put_be32(w, (uint32_t)content->permanent_len);
        writer_put(w, content->permanent, content->permanent_len);
}

int state_body_decode(struct bytes body, struct state_content *ret_content, struct err *err)
{
        struct reader r = reader_from_bytes(body);
        struct bytes permanent;
        uint16_t format;
        uint8_t used;
        uint8_t has_saved;
        uint8_t saved[STATE_DIGEST_LEN];
        uint64_t lineage;
        uint32_t len;

        if (reader_get_be16(&r, &format) != 0)
                return err_set(err, ERR_DAMAGED, "no content");
        if (format != BODY_FORMAT)
                return err_set(err, ERR_UNSUPPORTED, "written by a newer version");
        if (reader_get_u8(&r, &used) != 0 || reader_get_be64(&r, &lineage) != 0 ||
            reader_get_u8(&r, &has_saved) != 0 || reader_get_copy(&r, saved, sizeof(saved)) != 0 ||
            reader_get_be32(&r, &len) != 0 || len > ENGINE_BLOB_MAX ||
            reader_get_bytes(&r, len, &permanent) != 0 || reader_finish(&r) != 0)
                return err_set(err, ERR_DAMAGED, "content: damaged at offset %zu",
                               reader_offset(&r));
        ret_content->used = used != 0;
        ret_content->lineage = lineage;
        ret_content->has_saved = has_saved != 0;
        memcpy(ret_content->saved, saved, sizeof(saved));
        if (len > 0)
                memcpy(ret_content->permanent, permanent.data, len);
        ret_content->permanent_len = len;
        return 0;
}
