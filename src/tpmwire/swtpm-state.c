#include "tpmwire/swtpm-state.h"

#include <stddef.h>

#define VERSION     2
#define VERSION_MIN 1 /* of a reader of what is written here */
#define HEADER_SIZE 10
#define PART_HEAD   6 /* tag and length */
#define MAC_LEN     32
#define BLOCK       16

/* Flags of the header. */
#define FLAG_ENCRYPTED           0x01U
#define FLAG_MIGRATION_ENCRYPTED 0x02U
#define FLAG_MIGRATION           0x04U
#define FLAG_256_BITS            0x08U

#define TAG_DATA 1

struct header {
        uint8_t version;
        uint8_t min_version; /* a reader must know this one */
        uint16_t size;
        uint16_t flags;
        uint32_t total; /* with the header */
};

struct part {
        uint16_t tag;
        size_t offset; /* of its struct bytes in struct swtpm_state */
};

static const struct part clear_parts[] = {{TAG_DATA, offsetof(struct swtpm_state, data)}, {0}};
static const struct part sealed_parts[] = {{2, offsetof(struct swtpm_state, data)},
                                           {3, offsetof(struct swtpm_state, mac)},
                                           {6, offsetof(struct swtpm_state, iv)},
                                           {0}};

static int get_header(struct reader *r, size_t file_len, struct header *ret, struct err *err)
{
        if (reader_get_u8(r, &ret->version) != 0 || reader_get_u8(r, &ret->min_version) != 0 ||
            reader_get_be16(r, &ret->size) != 0 || reader_get_be16(r, &ret->flags) != 0 ||
            reader_get_be32(r, &ret->total) != 0)
                return err_set(err, ERR_MALFORMED, "swtpm's state: the header is cut off");
        if (ret->total != file_len || ret->size != HEADER_SIZE)
                return err_set(err, ERR_MALFORMED,
                               "swtpm's state: its header does not belong to a file of %zu bytes",
                               file_len);
        if (ret->version < VERSION || ret->min_version > VERSION)
                return err_set(err, ERR_UNSUPPORTED, "swtpm's state of format %u", ret->version);
        if ((ret->flags & (FLAG_MIGRATION | FLAG_MIGRATION_ENCRYPTED)) != 0)
                return err_set(err, ERR_UNSUPPORTED, "a state for migration, not a state file");
        return 0;
}

/* Parts with other tags are passed over. */
static int put_part(const struct part *part, uint16_t tag, struct bytes value,
                    struct swtpm_state *state, struct err *err)
{
        struct bytes *place;

        while (part->tag != 0 && part->tag != tag)
                part++;
        if (part->tag == 0)
                return 0;
        place = (struct bytes *)(void *)((uint8_t *)state + part->offset);
        if (place->data != NULL)
                return err_set(err, ERR_MALFORMED, "swtpm's state: part %u twice", tag);
        *place = value;
        return 0;
}

static int check_parts(const struct swtpm_state *state, struct err *err)
{
        if (state->data.len == 0)
                return err_set(err, ERR_MALFORMED, "swtpm's state: no state in it");
        if (state->key_len == 0)
                return 0;
        if (state->data.len % BLOCK != 0 || state->mac.len != MAC_LEN ||
            (state->iv.len != 0 && state->iv.len != state->key_len))
                return err_set(err, ERR_MALFORMED,
                               "swtpm's state: encrypted, with parts that do "
                               "not belong together");
        return 0;
}

int swtpm_state_parse(struct bytes file, struct swtpm_state *ret, struct err *err)
{
        struct reader r = reader_from_bytes(file);
        struct header header = {0};
        struct swtpm_state state = {0};
        int rc = get_header(&r, file.len, &header, err);

        if (rc == 0 && (header.flags & FLAG_ENCRYPTED) != 0)
                state.key_len = (header.flags & FLAG_256_BITS) != 0 ? 32 : 16;
        while (rc == 0 && reader_left(&r) > 0) {
                struct bytes value;
                uint16_t tag;
                uint32_t len;

                if (reader_get_be16(&r, &tag) != 0 || reader_get_be32(&r, &len) != 0 ||
                    reader_get_bytes(&r, len, &value) != 0)
                        return err_set(err, ERR_MALFORMED, "swtpm's state: at offset %zu",
                                       reader_offset(&r));
                rc = put_part(state.key_len != 0 ? sealed_parts : clear_parts, tag, value, &state,
                              err);
        }
        if (rc == 0)
                rc = check_parts(&state, err);
        if (rc == 0)
                *ret = state;
        return rc;
}

void swtpm_state_encode(struct bytes state, struct writer *w)
{
        writer_put_u8(w, VERSION);
        writer_put_u8(w, VERSION_MIN);
        writer_put_be16(w, HEADER_SIZE);
        writer_put_be16(w, 0);
        writer_put_be32(w, (uint32_t)(HEADER_SIZE + PART_HEAD + state.len));
        writer_put_be16(w, TAG_DATA);
        writer_put_be32(w, (uint32_t)state.len);
        writer_put_bytes(w, state);
}
