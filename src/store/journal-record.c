#include <string.h>

#include "base/writer.h"
#include "store/journal.h"

#define LENGTH_AT  4
#define COUNT_AT   16
#define HEADER_LEN 20

void journal_record_begin(struct writer *w, uint64_t generation)
{
        writer_put_be32(w, JOURNAL_MAGIC);
        writer_put_be32(w, 0);
        writer_put_be64(w, generation);
        writer_put_be32(w, 0);
}

static uint32_t get_be32(const uint8_t *p)
{
        return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

void journal_record_add(struct writer *w, const struct journal_save *save)
{
        writer_put(w, save->uuid, BLOCK_UUID_LEN);
        writer_put_be32(w, save->kind);
        writer_put_be64(w, save->sequence);
        writer_put_be32(w, (uint32_t)save->sealed.len);
        writer_put_bytes(w, save->sealed);
        if (writer_check(w) == 0)
                writer_patch_be32(w, COUNT_AT, get_be32(w->data + COUNT_AT) + 1);
}

struct bytes journal_record_body(struct writer *w)
{
        if (writer_check(w) == 0)
                writer_patch_be32(w, LENGTH_AT, (uint32_t)(w->len + JOURNAL_MAC_LEN));
        return writer_bytes(w);
}

void journal_record_end(struct writer *w, const uint8_t mac[JOURNAL_MAC_LEN])
{
        writer_put(w, mac, JOURNAL_MAC_LEN);
}

static int save_next(struct reader *r, struct journal_save *ret_save)
{
        uint32_t len;

        if (reader_get_copy(r, ret_save->uuid, BLOCK_UUID_LEN) != 0 ||
            reader_get_be32(r, &ret_save->kind) != 0 ||
            reader_get_be64(r, &ret_save->sequence) != 0 || reader_get_be32(r, &len) != 0 ||
            reader_get_bytes(r, len, &ret_save->sealed) != 0)
                return ERR_MALFORMED;
        return 0;
}

/* The header without what follows: whether a record may begin here, and how long it is. */
static int header_parse(struct bytes file, struct journal_record *ret_record, uint32_t *ret_len)
{
        struct reader r = reader_from_bytes(file);
        uint32_t magic;

        if (reader_get_be32(&r, &magic) != 0 || reader_get_be32(&r, ret_len) != 0 ||
            reader_get_be64(&r, &ret_record->generation) != 0 ||
            reader_get_be32(&r, &ret_record->count) != 0)
                return ERR_MALFORMED;
        if ((magic & ~UINT32_C(0xff)) != (JOURNAL_MAGIC & ~UINT32_C(0xff)) || magic < JOURNAL_MAGIC)
                return ERR_MALFORMED;
        if (magic > JOURNAL_MAGIC)
                return ERR_UNSUPPORTED;
        if (*ret_len < HEADER_LEN + JOURNAL_MAC_LEN || *ret_len > JOURNAL_RECORD_MAX ||
            *ret_len > file.len)
                return ERR_MALFORMED;
        return 0;
}

int journal_record_parse(struct bytes file, struct journal_record *ret_record, struct err *err)
{
        struct journal_record record = {0};
        struct journal_save save;
        struct reader saves;
        uint32_t len = 0;
        int rc = header_parse(file, &record, &len);

        if (rc == ERR_UNSUPPORTED)
                return err_set(err, rc, "journal of a newer format");
        if (rc != 0)
                return err_set(err, rc, "no record");
        record.body = (struct bytes){file.data, len - JOURNAL_MAC_LEN};
        record.mac = file.data + len - JOURNAL_MAC_LEN;
        record.blocks = (len + JOURNAL_BLOCK - 1) / JOURNAL_BLOCK;
        record.rest = reader_from(file.data + HEADER_LEN, record.body.len - HEADER_LEN);
        saves = record.rest;
        for (uint32_t i = 0; i < record.count && rc == 0; i++)
                rc = save_next(&saves, &save);
        if (rc != 0 || reader_finish(&saves) != 0)
                return err_set(err, ERR_MALFORMED, "record with a malformed save");
        *ret_record = record;
        return 0;
}

int journal_record_next(struct journal_record *record, struct journal_save *ret_save)
{
        return save_next(&record->rest, ret_save);
}

bool journal_record_find(struct bytes file, uint64_t generation, size_t *ret_offset)
{
        for (size_t at = 0; at < file.len; at += JOURNAL_BLOCK) {
                struct journal_record record = {0};
                uint32_t len = 0;

                if (header_parse((struct bytes){file.data + at, file.len - at}, &record, &len) ==
                        0 &&
                    record.generation >= generation) {
                        *ret_offset = at;
                        return true;
                }
        }
        return false;
}
