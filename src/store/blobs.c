#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "store/overlay.h"
#include "store/store-rows.h"

static struct sealed_context context_of(const struct row *row, enum store_kind kind)
{
        return (struct sealed_context){
            .uuid = row->instance.block.uuid,
            .epoch = row->instance.block.epoch,
            .sequence = row->head[kind - 1].sequence,
            .config_digest = row->instance.block.config_digest,
            .kind = (uint32_t)kind,
        };
}

static int check_kind(enum store_kind kind, struct err *err)
{
        if (kind <= 0 || kind >= STORE_KIND_COUNT)
                return err_set(err, ERR_USAGE, "unknown kind of state %d", (int)kind);
        return 0;
}

/* Seals as the row's next save and notes it in the row. */
static int seal_next(struct store *store, struct row *row, enum store_kind kind, struct bytes plain,
                     uint8_t **ret_sealed, struct err *err)
{
        struct head *head = &row->head[kind - 1];
        struct sealed_context context;
        int rc;

        head->sequence = ++row->instance.sequence;
        context = context_of(row, kind);
        rc = sealer_seal(store->sealer, &context, plain, ret_sealed, err);
        if (rc == 0)
                memcpy(head->tag, *ret_sealed + plain.len + SEALED_OVERHEAD - SEALED_TAG_LEN,
                       HEADS_TAG_LEN);
        return rc;
}

static struct db_call put_call(const struct row *row, enum store_kind kind, const uint8_t *sealed,
                               size_t len)
{
        return (struct db_call){
            DB_BLOB_PUT,
            {db_bytes(row->instance.block.uuid, BLOCK_UUID_LEN), db_number((uint64_t)kind),
             db_number(row->head[kind - 1].sequence), db_bytes(sealed, len)},
        };
}

/* What the journal cannot take, in one transaction or at all, goes to the database. */
static bool fits_journal(const struct store *store, size_t len)
{
        return store_uses_overlay(store) && overlay_has_room(store->overlay) &&
               overlay_changed_len(store->overlay) + len <= JOURNAL_RECORD_MAX / 2;
}

int store_put_blob(struct store *store, const struct store_put *put, struct err *err)
{
        uint8_t AUTO_FREE *sealed = NULL;
        size_t len = put->plain.len + SEALED_OVERHEAD;
        struct db_call call;
        struct row old, new;

        if (store_check_change(store, err) != 0 || check_kind(put->kind, err) != 0)
                return err->code;
        if (put->plain.len > STORE_BLOB_MAX)
                return err_set(err, ERR_LIMIT, "state of %zu bytes", put->plain.len);
        if (row_get(store, put->uuid, &old, err) != 0)
                return err->code;
        new = old;
        if (seal_next(store, &new, put->kind, put->plain, &sealed, err) != 0)
                return err_wrap(err, "%s: seal state", old.instance.name);
        if (fits_journal(store, len))
                return overlay_put(store->overlay,
                                   &(struct overlay_change){.old = &old,
                                                            .new = &new,
                                                            .kind = put->kind,
                                                            .sealed = TAKE(sealed),
                                                            .len = len},
                                   err);
        call = put_call(&new, put->kind, sealed, len);
        if (row_change(store, &old, &new, &call, 1, err) != 0)
                return err_wrap(err, "%s: save state", old.instance.name);
        return 0;
}

/* Compares the save that was found with what the instance's row says, then opens it. */
static int open_row(struct store *store, const struct row *row, enum store_kind kind,
                    uint64_t sequence, struct bytes sealed, struct store_blob *ret_blob,
                    struct err *err)
{
        const struct head *head = &row->head[kind - 1];
        struct sealed_context context = context_of(row, kind);
        int rc;

        if (sequence != head->sequence)
                return err_set(err, ERR_ROLLBACK, "state is save %llu, the latest was %llu",
                               (unsigned long long)sequence, (unsigned long long)head->sequence);
        rc = sealer_open(store->sealer, &context, sealed, &ret_blob->data, err);
        if (rc != 0)
                return rc;
        ret_blob->len = sealed.len - SEALED_OVERHEAD;
        ret_blob->sequence = sequence;
        /* The same sequence can have been sealed twice when a commit failed and was given up. */
        if (memcmp(head->tag, sealed.data + sealed.len - SEALED_TAG_LEN, HEADS_TAG_LEN) == 0)
                return 0;
        store_blob_free(ret_blob);
        return err_set(err, ERR_ROLLBACK, "state was never committed");
}

static int get_from_database(struct store *store, const struct row *row, enum store_kind kind,
                             struct store_blob *ret_blob, struct err *err)
{
        struct db_call call = {
            DB_BLOB_GET,
            {db_bytes(row->instance.block.uuid, BLOCK_UUID_LEN), db_number((uint64_t)kind)},
        };
        bool found = false;
        int rc = db_query(store->db, &call, &found, err);

        if (rc == 0 && !found)
                rc = err_set(err, ERR_DAMAGED, "saved state is gone");
        if (rc == 0)
                rc = open_row(store, row, kind, db_column_number(store->db, DB_BLOB_GET, 0),
                              db_column_bytes(store->db, DB_BLOB_GET, 1), ret_blob, err);
        db_query_done(store->db, DB_BLOB_GET);
        return rc;
}

static int get(struct store *store, const struct row *row, enum store_kind kind,
               struct store_blob *ret_blob, struct err *err)
{
        const struct overlay_entry *newer =
            store_uses_overlay(store) ? overlay_find(store->overlay, row->instance.block.uuid)
                                      : NULL;
        struct store_blob blob = {0};
        int rc;

        if (row->head[kind - 1].sequence == 0)
                return err_set(err, ERR_NOT_FOUND, "%s: no such state saved", row->instance.name);
        if (newer != NULL && newer->state[kind - 1].sealed != NULL)
                rc = open_row(
                    store, row, kind, row->head[kind - 1].sequence,
                    (struct bytes){newer->state[kind - 1].sealed, newer->state[kind - 1].len},
                    &blob, err);
        else
                rc = get_from_database(store, row, kind, &blob, err);
        if (rc != 0)
                return err_wrap(err, "%s", row->instance.name);
        *ret_blob = blob;
        return 0;
}

int store_get_blob(struct store *store, const uint8_t uuid[BLOCK_UUID_LEN], enum store_kind kind,
                   struct store_blob *ret_blob, struct err *err)
{
        struct row row;

        if (store->sealer == NULL)
                return err_set(err, ERR_FAILED, "store: not unlocked");
        if (check_kind(kind, err) != 0 || row_get(store, uuid, &row, err) != 0)
                return err->code;
        return get(store, &row, kind, ret_blob, err);
}

void store_blob_free(struct store_blob *blob)
{
        if (blob == NULL || blob->data == NULL)
                return;
        explicit_bzero(blob->data, blob->len);
        free(blob->data);
        *blob = (struct store_blob){0};
}

/* --- a new configuration -------------------------------------------------------------------- */

/* Seals every saved state of old under new, which has another configuration's digest. */
static int reseal_all(struct store *store, const struct row *old, struct row *new,
                      uint8_t **ret_sealed, struct db_call *ret_calls, size_t *ret_n,
                      struct err *err)
{
        size_t n = 0;
        int rc = 0;

        for (int kind = 1; kind < STORE_KIND_COUNT && rc == 0; kind++) {
                struct store_blob blob = {0};

                if (old->head[kind - 1].sequence == 0)
                        continue;
                rc = get(store, old, (enum store_kind)kind, &blob, err);
                if (rc == 0)
                        rc = seal_next(store, new, (enum store_kind)kind,
                                       (struct bytes){blob.data, blob.len}, &ret_sealed[n], err);
                if (rc == 0) {
                        ret_calls[n] = put_call(new, (enum store_kind)kind, ret_sealed[n],
                                                blob.len + SEALED_OVERHEAD);
                        n++;
                }
                store_blob_free(&blob);
        }
        *ret_n = n;
        return rc;
}

int store_put_config(struct store *store, const uint8_t uuid[BLOCK_UUID_LEN], struct bytes config,
                     struct err *err)
{
        uint8_t *sealed[HEADS_KINDS] = {NULL};
        struct db_call calls[ROW_CALLS_MAX];
        struct row old, new;
        size_t n = 0;
        int rc;

        if (store_check_change(store, err) != 0 || row_get(store, uuid, &old, err) != 0)
                return err->code;
        if (config.len == 0 || config.len > STORE_CONFIG_MAX)
                return err_set(err, ERR_LIMIT, "configuration of %zu bytes", config.len);
        new = old;
        rc = hash_digest(hash_by_tpm_id(HASH_TPM_SHA256), config.data, config.len,
                         new.instance.block.config_digest, err);
        if (rc == 0)
                rc = reseal_all(store, &old, &new, sealed, calls, &n, err);
        if (rc == 0) {
                calls[n] = (struct db_call){
                    DB_CONFIG_PUT,
                    {db_bytes(uuid, BLOCK_UUID_LEN), db_bytes(config.data, config.len)},
                };
                rc = row_change(store, &old, &new, calls, n + 1, err);
        }
        for (size_t i = 0; i < HEADS_KINDS; i++)
                free(sealed[i]);
        return rc == 0 ? 0 : err_wrap(err, "%s: set configuration", old.instance.name);
}
