#include "arbiter/state-file.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/writer.h"
#include "crypto/hash.h"

#define FORMAT      1
#define BLOB_MAX    (96U << 10)
#define HEADER_SIZE (4 + 4 + 8 + 4)
#define FILE_MAX    (HEADER_SIZE + BLOB_MAX + 32)

static const uint8_t magic[4] = {'C', 'T', 'P', 'S'};

static int parse(struct bytes file, struct state_file *ret, struct err *err)
{
        struct reader r = reader_from_bytes(file);
        uint8_t digest[32];
        struct bytes start;
        struct bytes blob;
        struct bytes stored;
        uint32_t format;
        uint64_t generation;
        uint32_t len;

        if (reader_get_bytes(&r, sizeof(magic), &start) != 0 ||
            memcmp(start.data, magic, sizeof(magic)) != 0 || reader_get_be32(&r, &format) != 0)
                return err_set(err, ERR_DAMAGED, STATE_FILE_NAME ": not a state file");
        if (format != FORMAT)
                return err_set(err, ERR_DAMAGED, STATE_FILE_NAME ": format %u, we know %d", format,
                               FORMAT);
        if (reader_get_be64(&r, &generation) != 0 || reader_get_be32(&r, &len) != 0 ||
            len > BLOB_MAX || reader_get_bytes(&r, len, &blob) != 0 ||
            reader_get_bytes(&r, sizeof(digest), &stored) != 0 || reader_finish(&r) != 0)
                return err_set(err, ERR_DAMAGED, STATE_FILE_NAME ": cut or too long, at offset %zu",
                               reader_offset(&r));
        if (hash_digest(hash_by_tpm_id(HASH_TPM_SHA256), file.data, HEADER_SIZE + len, digest,
                        err) != 0)
                return err->code;
        if (memcmp(digest, stored.data, sizeof(digest)) != 0)
                return err_set(err, ERR_DAMAGED, STATE_FILE_NAME ": checksum does not match");
        ret->blob = malloc(len == 0 ? 1 : len);
        if (ret->blob == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        memcpy(ret->blob, blob.data, len);
        ret->len = len;
        ret->generation = generation;
        return 0;
}

int state_file_load(int dir, struct state_file *ret_state, struct err *err)
{
        uint8_t AUTO_FREE *data = NULL;
        size_t len;
        int rc = fs_read_file_at(dir, STATE_FILE_NAME, FILE_MAX, &data, &len, err);

        if (rc == ERR_NOT_FOUND) {
                *ret_state = (struct state_file){0};
                return 0;
        }
        if (rc == ERR_LIMIT)
                return err_set(err, ERR_DAMAGED, STATE_FILE_NAME ": too long");
        if (rc != 0)
                return rc;
        rc = parse((struct bytes){data, len}, ret_state, err);
        explicit_bzero(data, len);
        return rc;
}

int state_file_save(int dir, uint64_t generation, struct bytes blob, struct err *err)
{
        struct writer AUTO_WRITER w = {0};
        uint8_t digest[32];

        writer_init(&w, FILE_MAX);
        writer_put(&w, magic, sizeof(magic));
        writer_put_be32(&w, FORMAT);
        writer_put_be64(&w, generation);
        writer_put_be32(&w, (uint32_t)blob.len);
        writer_put_bytes(&w, blob);
        if (writer_check(&w) != 0)
                return err_set(err, ERR_LIMIT, "state of %zu bytes", blob.len);
        if (hash_digest(hash_by_tpm_id(HASH_TPM_SHA256), w.data, w.len, digest, err) != 0)
                return err->code;
        writer_put(&w, digest, sizeof(digest));
        if (writer_check(&w) != 0)
                return err_set(err, ERR_LIMIT, "state of %zu bytes", blob.len);
        return fs_write_file_at(dir, STATE_FILE_NAME, w.data, w.len, 0600, err);
}
