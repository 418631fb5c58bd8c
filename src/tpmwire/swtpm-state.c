#include "tpmwire/swtpm-state.h"

#define VERSION     2
#define VERSION_MIN 1 /* of a reader of what is written here */
#define HEADER_SIZE 10
#define PART_HEAD   6 /* tag and length */

/* Flags of the header. */
#define FLAG_ENCRYPTED           0x01U
#define FLAG_MIGRATION_ENCRYPTED 0x02U
#define FLAG_MIGRATION           0x04U

#define TAG_DATA 1

struct header {
        uint8_t version;
        uint8_t min_version; /* a reader must know this one */
        uint16_t size;
        uint16_t flags;
        uint32_t total; /* with the header */
};

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
        if ((ret->flags & (FLAG_ENCRYPTED | FLAG_MIGRATION_ENCRYPTED)) != 0) {
                (void)err_set(err, ERR_UNSUPPORTED, "swtpm's state is encrypted");
                return err_hint(err, "write it in plain first: swtpm --key with the old key, and "
                                     "a state directory without one for the copy");
        }
        if ((ret->flags & FLAG_MIGRATION) != 0)
                return err_set(err, ERR_UNSUPPORTED, "a state for migration, not a state file");
        return 0;
}

int swtpm_state_parse(struct bytes file, struct bytes *ret_state, struct err *err)
{
        struct reader r = reader_from_bytes(file);
        struct header header = {0};
        struct bytes state = {NULL, 0};
        int rc = get_header(&r, file.len, &header, err);

        while (rc == 0 && reader_left(&r) > 0) {
                struct bytes value;
                uint16_t tag;
                uint32_t len;

                if (reader_get_be16(&r, &tag) != 0 || reader_get_be32(&r, &len) != 0 ||
                    reader_get_bytes(&r, len, &value) != 0)
                        return err_set(err, ERR_MALFORMED, "swtpm's state: at offset %zu",
                                       reader_offset(&r));
                if (tag == TAG_DATA && state.data != NULL)
                        return err_set(err, ERR_MALFORMED, "swtpm's state: two states in one");
                if (tag == TAG_DATA)
                        state = value;
        }
        if (rc != 0)
                return rc;
        if (state.len == 0)
                return err_set(err, ERR_MALFORMED, "swtpm's state: no state in it");
        *ret_state = state;
        return 0;
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
