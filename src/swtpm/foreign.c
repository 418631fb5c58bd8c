#include "swtpm/foreign.h"

#define VERSION      2
#define VERSION_MIN  1
#define HEADER_LEN   10
#define TAG_DATA     1
#define TLV_HEAD_LEN 6

int foreign_decode(struct bytes file, struct bytes *ret_permanent, struct err *err)
{
        struct reader r = reader_from_bytes(file);
        struct bytes permanent;
        uint8_t version;
        uint8_t version_min;
        uint16_t header_len;
        uint16_t flags;
        uint16_t tag;
        uint32_t total;
        uint32_t len;

        if (reader_get_u8(&r, &version) != 0 || reader_get_u8(&r, &version_min) != 0 ||
            reader_get_be16(&r, &header_len) != 0 || reader_get_be16(&r, &flags) != 0 ||
            reader_get_be32(&r, &total) != 0 || header_len != HEADER_LEN || total != file.len)
                return err_set(err, ERR_MALFORMED, "no state of swtpm's");
        if (version_min > VERSION || version < VERSION)
                return err_set(err, ERR_UNSUPPORTED, "swtpm's format %u is not known here",
                               version);
        if (flags != 0)
                return err_set(err, ERR_UNSUPPORTED,
                               "swtpm's state is encrypted: only swtpm opens it");
        if (reader_get_be16(&r, &tag) != 0 || tag != TAG_DATA || reader_get_be32(&r, &len) != 0 ||
            len == 0 || reader_get_bytes(&r, len, &permanent) != 0 || reader_finish(&r) != 0)
                return err_set(err, ERR_MALFORMED, "swtpm's state: malformed at offset %zu",
                               reader_offset(&r));
        *ret_permanent = permanent;
        return 0;
}

void foreign_encode(struct bytes permanent, struct writer *w)
{
        writer_put_u8(w, VERSION);
        writer_put_u8(w, VERSION_MIN);
        writer_put_be16(w, HEADER_LEN);
        writer_put_be16(w, 0);
        writer_put_be32(w, (uint32_t)(HEADER_LEN + TLV_HEAD_LEN + permanent.len));
        writer_put_be16(w, TAG_DATA);
        writer_put_be32(w, (uint32_t)permanent.len);
        writer_put_bytes(w, permanent);
}
