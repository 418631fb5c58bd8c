#include "store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "crypto/kdf.h"
#include "store/journal.h"
#include "store/overlay.h"
#include "store/replay.h"
#include "store/store-rows.h"
#include "store/store-vfs.h"

#define CHECKPOINT_PAGES 512

/* What belongs to a database of this path that does not exist yet is made before it. */
static int open_files(const char *path, const char *vfs, struct store *store, struct err *err)
{
        struct stat st;
        int rc = 0;

        if (stat(path, &st) < 0 && errno == ENOENT)
                rc = journal_create(path, err);
        if (rc == 0)
                rc = db_open(path, vfs, &store->db, err);
        if (rc == 0 && db_format(store->db) < DB_FORMAT) {
                rc = journal_create(path, err);
                if (rc == 0)
                        rc = db_raise_format(store->db, err);
        }
        if (rc == 0)
                rc = journal_open(path, &store->journal, err);
        return rc;
}

int store_open_vfs(const char *path, const char *vfs, struct store **ret_store, struct err *err)
{
        struct store *store = calloc(1, sizeof(*store));
        int rc;

        if (store == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        rc = overlay_new(&store->overlay, err);
        if (rc == 0)
                rc = open_files(path, vfs, store, err);
        if (rc != 0) {
                store_close(store);
                return rc;
        }
        db_set_limits(store->db, STORE_CHANGES_MAX + OVERLAY_CALLS_MAX,
                      STORE_CHANGES_LEN_MAX + 2 * JOURNAL_LEN);
        *ret_store = store;
        return 0;
}

int store_open(const char *path, struct store **ret_store, struct err *err)
{
        return store_open_vfs(path, NULL, ret_store, err);
}

void store_close(struct store *store)
{
        if (store == NULL)
                return;
        db_close(store->db);
        journal_close(store->journal);
        overlay_free(store->overlay);
        sealer_free(store->sealer);
        hmac_free(store->heads_mac);
        free(store);
}

uint64_t store_generation(const struct store *store)
{
        return store->generation;
}

/* --- heads ------------------------------------------------------------------------------------ */

static int add_records(struct store *store, struct hmac *key, struct heads *heads, struct err *err)
{
        char name[STORE_NAME_MAX + 1] = "";
        bool found = true;
        int rc = 0;

        while (rc == 0 && found) {
                struct db_call call = {DB_RECORD_NEXT, {db_text(name)}};
                struct bytes text, value;

                rc = db_query(store->db, &call, &found, err);
                if (rc == 0 && found) {
                        text = db_column_bytes(store->db, DB_RECORD_NEXT, 0);
                        value = db_column_bytes(store->db, DB_RECORD_NEXT, 1);
                        if (text.len == 0 || text.len > STORE_NAME_MAX) {
                                rc = err_set(err, ERR_DAMAGED, "a record's name is malformed");
                        } else {
                                memcpy(name, text.data, text.len);
                                name[text.len] = '\0';
                                rc = heads_add_record(heads, key, name, value, err);
                        }
                }
                db_query_done(store->db, DB_RECORD_NEXT);
        }
        return rc;
}

static int add_instances(struct store *store, struct hmac *key, struct heads *heads,
                         struct err *err)
{
        struct row row = {0};
        bool found = true;
        int rc = 0;

        while (rc == 0 && found) {
                char after[STORE_NAME_MAX + 1];
                struct db_call call = {DB_INSTANCE_NEXT, {{0}}};

                memcpy(after, row.instance.name, sizeof(after));
                call.values[0] = db_text(after);
                rc = row_query(store, &call, &found, &row, err);
                if (rc == 0 && found)
                        rc = heads_add_instance(heads, key, &row.instance, row.head, err);
        }
        return rc;
}

static int compare_heads(struct store *store, struct hmac *key, const struct heads *heads,
                         struct err *err)
{
        struct db_call call = {.stmt = DB_HEADS_GET};
        uint8_t mac[HEADS_LEN];
        struct bytes stored;
        bool found = false;
        bool equal = false;
        int rc = db_query(store->db, &call, &found, err);

        if (rc == 0 && found) {
                store->generation = db_column_number(store->db, DB_HEADS_GET, 0);
                stored = db_column_bytes(store->db, DB_HEADS_GET, 1);
                rc = heads_mac(heads, key, store->generation, mac, err);
                equal =
                    rc == 0 && stored.len == HEADS_LEN && secret_equal(stored.data, mac, HEADS_LEN);
        }
        db_query_done(store->db, DB_HEADS_GET);
        if (rc != 0)
                return rc;
        /* Only a store in which nothing was ever committed has no heads. */
        if (!found && heads->rows == 0)
                return 0;
        if (equal)
                return 0;
        (void)err_set(err, ERR_ROLLBACK, "store: its rows are not those that were committed last");
        return err_hint(err, "rows were altered or copied from an older database, or the storage "
                             "key is another store's; restore the whole directory");
}

static void lock_again(struct store *store)
{
        sealer_free(store->sealer);
        hmac_free(store->heads_mac);
        store->sealer = NULL;
        store->heads_mac = NULL;
        overlay_clear(store->overlay);
}

int store_unlock(struct store *store, const struct secret *key, struct err *err)
{
        struct secret AUTO_SECRET *head_key = NULL;
        struct hmac AUTO_HMAC *mac = NULL;
        struct kdf_request request = {.key = key, .label = "catena store heads", .len = 32};
        struct heads heads = {0};

        if (store->sealer != NULL)
                return err_set(err, ERR_FAILED, "store: already unlocked");
        if (key->len != STORE_KEY_LEN)
                return err_set(err, ERR_LIMIT, "storage key of %zu bytes", key->len);
        if (kdf_derive(&request, &head_key, err) != 0 || hmac_new(head_key, &mac, err) != 0 ||
            add_records(store, mac, &heads, err) != 0 ||
            add_instances(store, mac, &heads, err) != 0 ||
            compare_heads(store, mac, &heads, err) != 0 ||
            sealer_new(key, &store->sealer, err) != 0)
                return err_wrap(err, "unlock");
        store->heads_mac = TAKE(mac);
        store->committed = store->working = heads;
        if (store_replay(store, err) == 0)
                return 0;
        lock_again(store);
        return err_wrap(err, "unlock");
}

/* --- transactions ----------------------------------------------------------------------------- */

int store_check_change(const struct store *store, struct err *err)
{
        if (store->sealer == NULL)
                return err_set(err, ERR_FAILED, "store: not unlocked");
        if (!store->in_transaction)
                return err_set(err, ERR_FAILED, "store: no transaction");
        return 0;
}

bool store_uses_overlay(const struct store *store)
{
        return !db_in_transaction(store->db);
}

int store_begin(struct store *store, struct err *err)
{
        if (store->sealer == NULL)
                return err_set(err, ERR_FAILED, "store: not unlocked");
        if (store->in_transaction)
                return err_set(err, ERR_FAILED, "store: a transaction is already open");
        store->in_transaction = true;
        return 0;
}

/* Puts an entry of the overlay into the database. */
static int fold_entry(void *context, const struct overlay_entry *entry, struct err *err)
{
        struct store *store = context;
        struct db_call calls[HEADS_KINDS];
        size_t n = 0;

        for (size_t i = 0; i < HEADS_KINDS; i++)
                if (entry->state[i].sealed != NULL)
                        calls[n++] = (struct db_call){
                            DB_BLOB_PUT,
                            {db_bytes(entry->row.instance.block.uuid, BLOCK_UUID_LEN),
                             db_number(i + 1), db_number(entry->row.head[i].sequence),
                             db_bytes(entry->state[i].sealed, entry->state[i].len)},
                        };
        return n == 0 ? 0 : row_write(store, &entry->row, calls, n, err);
}

int store_use_database(struct store *store, struct err *err)
{
        struct heads heads = store->committed;
        int rc;

        if (db_in_transaction(store->db))
                return 0;
        rc = overlay_change_heads(store->overlay, store->heads_mac, &heads, err);
        if (rc == 0)
                rc = db_begin(store->db, err);
        if (rc != 0)
                return rc;
        rc = overlay_each(store->overlay, fold_entry, store, err);
        if (rc != 0) {
                db_rollback(store->db);
                return err_wrap(err, "fold the journal of saves");
        }
        store->working = heads;
        return 0;
}

static int commit_to_database(struct store *store, struct err *err)
{
        uint8_t mac[HEADS_LEN];
        uint64_t generation = store->generation + 1;
        struct db_call call = {DB_HEADS_PUT, {db_number(generation), db_bytes(mac, sizeof(mac))}};

        if (store_use_database(store, err) != 0 ||
            heads_mac(&store->working, store->heads_mac, generation, mac, err) != 0 ||
            db_commit(store->db, &call, err) != 0)
                return err->code;
        overlay_clear(store->overlay);
        journal_seek(store->journal, 0);
        store->committed = store->working;
        store->scrub |= store->deleted;
        store->deleted = false;
        return 0;
}

static int commit_to_journal(struct store *store, bool *ret_fits, struct err *err)
{
        struct writer *w = journal_writer(store->journal);
        struct heads heads = store->committed;
        uint8_t mac[HEADS_LEN] = {0};
        int rc;

        journal_record_begin(w, store->generation + 1);
        overlay_record(store->overlay, w);
        rc = overlay_change_heads(store->overlay, store->heads_mac, &heads, err);
        if (rc == 0)
                rc = heads_mac_saves(&heads, store->heads_mac, journal_record_body(w), mac, err);
        if (rc != 0)
                return rc;
        journal_record_end(w, mac);
        *ret_fits = writer_check(w) == 0;
        if (!*ret_fits)
                return 0;
        rc = journal_append(store->journal, err);
        if (rc != 0)
                return rc;
        overlay_commit(store->overlay);
        store->committed = store->working = heads;
        return 0;
}

static int commit(struct store *store, struct err *err)
{
        bool done = false;
        int rc = 0;

        if (store_uses_overlay(store) && overlay_has_changes(store->overlay) &&
            !store->must_use_database)
                rc = commit_to_journal(store, &done, err);
        if (rc == 0 && !done)
                rc = commit_to_database(store, err);
        store->must_use_database = rc != 0;
        return rc;
}

int store_commit(struct store *store, struct err *err)
{
        if (store_check_change(store, err) != 0 || commit(store, err) != 0)
                return err_wrap(err, "store: commit");
        store->generation++;
        store->in_transaction = false;
        return 0;
}

void store_rollback(struct store *store)
{
        store->has_last = false;
        db_rollback(store->db);
        overlay_rollback(store->overlay);
        store->working = store->committed;
        store->deleted = false;
        store->in_transaction = false;
}

bool store_in_transaction(const struct store *store)
{
        return store->in_transaction;
}

/* --- folding ---------------------------------------------------------------------------------- */

bool store_wants_checkpoint(const struct store *store)
{
        return store->scrub || db_log_pages(store->db) >= CHECKPOINT_PAGES ||
               journal_is_half_full(store->journal);
}

static int fold(struct store *store, struct err *err)
{
        int rc;

        if (store->in_transaction)
                return err_set(err, ERR_FAILED, "store: checkpoint inside of a transaction");
        if (overlay_is_empty(store->overlay))
                return 0;
        store->in_transaction = true;
        rc = store_use_database(store, err);
        if (rc == 0)
                rc = store_commit(store, err);
        if (rc != 0)
                store_rollback(store);
        return rc;
}

int store_checkpoint(struct store *store, struct err *err)
{
        if (fold(store, err) != 0 || db_checkpoint(store->db, store->scrub, err) != 0 ||
            (store->scrub && journal_scrub(store->journal, err) != 0))
                return err_wrap(err, "store");
        store->scrub = false;
        return 0;
}
