#include "tcb/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/secret.h"
#include "base/writer.h"
#include "crypto/hash.h"

#define FORMAT      1
#define HEADER_SIZE (2 + SNAPSHOT_DIGEST_SIZE + 8)
#define MAGIC       "CTK1"
#define MAGIC_SIZE  4

static int digest_of(struct bytes token, uint8_t ret_digest[SNAPSHOT_DIGEST_SIZE], struct err *err)
{
        return hash_digest(hash_by_tpm_id(HASH_TPM_SHA256), token.data, token.len, ret_digest, err);
}

/* The sealed blob: format, digest of the token, time; the volatile state follows. */
static int parse_header(struct bytes plain, struct snapshot *ret, struct err *err)
{
        struct reader r = reader_from_bytes(plain);
        struct snapshot snapshot = {.exists = true};
        uint16_t format;

        if (reader_get_be16(&r, &format) != 0 || format != FORMAT ||
            reader_get_copy(&r, snapshot.digest, sizeof(snapshot.digest)) != 0 ||
            reader_get_be64(&r, &snapshot.saved) != 0)
                return err_set(err, ERR_DAMAGED, "saved state: at offset %zu", reader_offset(&r));
        *ret = snapshot;
        return 0;
}

int snapshot_load(struct store *store, const uint8_t uuid[BLOCK_UUID_LEN],
                  struct snapshot *ret_snapshot, struct err *err)
{
        struct store_blob blob;
        int rc = store_get_blob(store, uuid, STORE_KIND_SAVESTATE, &blob, err);

        if (rc != 0 && rc != ERR_NOT_FOUND)
                return rc;
        if (rc != 0 || blob.len == 0) {
                if (rc == 0)
                        store_blob_free(&blob);
                *ret_snapshot = (struct snapshot){0};
                return 0;
        }
        rc = parse_header((struct bytes){blob.data, blob.len}, ret_snapshot, err);
        store_blob_free(&blob);
        return rc;
}

static int draw_token(uint8_t ret_token[ENGINE_TOKEN_SIZE], struct err *err)
{
        memcpy(ret_token, MAGIC, MAGIC_SIZE);
        if (getrandom(ret_token + MAGIC_SIZE, ENGINE_TOKEN_SIZE - MAGIC_SIZE, 0) !=
            ENGINE_TOKEN_SIZE - MAGIC_SIZE)
                return err_set_errno(err, errno, "getrandom");
        return 0;
}

static int put_blob(struct store *store, const uint8_t uuid[BLOCK_UUID_LEN], struct bytes plain,
                    struct err *err)
{
        struct store_put put = {.kind = STORE_KIND_SAVESTATE, .plain = plain};

        memcpy(put.uuid, uuid, sizeof(put.uuid));
        return store_put_blob(store, &put, err);
}

int snapshot_put(struct store *store, const uint8_t uuid[BLOCK_UUID_LEN],
                 struct bytes volatile_state, uint8_t ret_token[ENGINE_TOKEN_SIZE],
                 struct snapshot *ret_snapshot, struct err *err)
{
        struct snapshot snapshot = {.exists = true, .saved = (uint64_t)time(NULL)};
        struct writer AUTO_WRITER w = {0};
        int rc = draw_token(ret_token, err);

        if (rc == 0)
                rc = digest_of((struct bytes){ret_token, ENGINE_TOKEN_SIZE}, snapshot.digest, err);
        if (rc != 0)
                return rc;
        writer_init(&w, HEADER_SIZE + ENGINE_BLOB_MAX);
        writer_put_be16(&w, FORMAT);
        writer_put(&w, snapshot.digest, sizeof(snapshot.digest));
        writer_put_be64(&w, snapshot.saved);
        writer_put_bytes(&w, volatile_state);
        rc = writer_check(&w) != 0 ? err_set(err, ERR_LIMIT, "saved state too large")
                                   : put_blob(store, uuid, writer_bytes(&w), err);
        if (w.data != NULL)
                explicit_bzero(w.data, w.len);
        if (rc == 0)
                *ret_snapshot = snapshot;
        return rc;
}

int snapshot_drop(struct store *store, const uint8_t uuid[BLOCK_UUID_LEN], struct err *err)
{
        return put_blob(store, uuid, (struct bytes){NULL, 0}, err);
}

int snapshot_get(struct store *store, const uint8_t uuid[BLOCK_UUID_LEN],
                 struct store_blob *ret_volatile, struct err *err)
{
        struct snapshot ignored;
        struct store_blob blob;
        int rc = store_get_blob(store, uuid, STORE_KIND_SAVESTATE, &blob, err);

        if (rc != 0)
                return rc;
        rc = parse_header((struct bytes){blob.data, blob.len}, &ignored, err);
        if (rc != 0) {
                store_blob_free(&blob);
                return rc;
        }
        memmove(blob.data, blob.data + HEADER_SIZE, blob.len - HEADER_SIZE);
        blob.len -= HEADER_SIZE;
        *ret_volatile = blob;
        return 0;
}

int snapshot_check_token(const struct snapshot *snapshot, struct bytes token, struct err *err)
{
        uint8_t digest[SNAPSHOT_DIGEST_SIZE];
        int rc;

        if (token.len != ENGINE_TOKEN_SIZE || memcmp(token.data, MAGIC, MAGIC_SIZE) != 0)
                return err_set(err, ERR_MALFORMED,
                               "the saved VM holds the state of another program's TPM, or none");
        rc = digest_of(token, digest, err);
        if (rc != 0)
                return rc;
        if (snapshot->exists && secret_equal(digest, snapshot->digest, sizeof(digest)))
                return 0;
        return err_set(err, ERR_ROLLBACK,
                       "the saved VM is older than its vTPM: the vTPM was used after the VM was "
                       "saved, the saved VM was restored before, or it is another vTPM's");
}
