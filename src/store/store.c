#include "store/store.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/kdf.h"
#include "store/store-rows.h"
#include "store/store-vfs.h"

#define CHECKPOINT_PAGES 512

int store_open_vfs(const char *path, const char *vfs, struct store **ret_store, struct err *err)
{
        struct store *store = calloc(1, sizeof(*store));
        int rc;

        if (store == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        rc = db_open(path, vfs, &store->db, err);
        if (rc != 0) {
                free(store);
                return rc;
        }
        db_set_limits(store->db, STORE_CHANGES_MAX, STORE_CHANGES_LEN_MAX);
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
        sealer_free(store->sealer);
        secret_free(store->head_key);
        free(store);
}

uint64_t store_generation(const struct store *store)
{
        return store->generation;
}

/* --- heads ------------------------------------------------------------------------------------ */

static int add_records(struct store *store, const struct secret *key, struct heads *heads,
                       struct err *err)
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

static int add_instances(struct store *store, const struct secret *key, struct heads *heads,
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

static int compare_heads(struct store *store, const struct secret *key, const struct heads *heads,
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

int store_unlock(struct store *store, const struct secret *key, struct err *err)
{
        struct secret AUTO_SECRET *head_key = NULL;
        struct kdf_request request = {.key = key, .label = "catena store heads", .len = 32};
        struct heads heads = {0};

        if (store->sealer != NULL)
                return err_set(err, ERR_FAILED, "store: already unlocked");
        if (key->len != STORE_KEY_LEN)
                return err_set(err, ERR_LIMIT, "storage key of %zu bytes", key->len);
        if (kdf_derive(&request, &head_key, err) != 0 ||
            add_records(store, head_key, &heads, err) != 0 ||
            add_instances(store, head_key, &heads, err) != 0 ||
            compare_heads(store, head_key, &heads, err) != 0 ||
            sealer_new(key, &store->sealer, err) != 0)
                return err_wrap(err, "unlock");
        store->head_key = TAKE(head_key);
        store->committed = store->working = heads;
        return 0;
}

/* --- transactions ----------------------------------------------------------------------------- */

int store_check_change(const struct store *store, struct err *err)
{
        if (store->sealer == NULL)
                return err_set(err, ERR_FAILED, "store: not unlocked");
        if (!db_in_transaction(store->db))
                return err_set(err, ERR_FAILED, "store: no transaction");
        return 0;
}

int store_begin(struct store *store, struct err *err)
{
        if (store->sealer == NULL)
                return err_set(err, ERR_FAILED, "store: not unlocked");
        return db_begin(store->db, err);
}

int store_commit(struct store *store, struct err *err)
{
        uint8_t mac[HEADS_LEN];
        uint64_t generation = store->generation + 1;
        struct db_call call = {DB_HEADS_PUT, {db_number(generation), db_bytes(mac, sizeof(mac))}};

        if (store_check_change(store, err) != 0 ||
            heads_mac(&store->working, store->head_key, generation, mac, err) != 0 ||
            db_commit(store->db, &call, err) != 0)
                return err_wrap(err, "store: commit");
        store->generation = generation;
        store->committed = store->working;
        store->scrub |= store->deleted;
        store->deleted = false;
        return 0;
}

void store_rollback(struct store *store)
{
        db_rollback(store->db);
        store->working = store->committed;
        store->deleted = false;
}

bool store_in_transaction(const struct store *store)
{
        return db_in_transaction(store->db);
}

bool store_wants_checkpoint(const struct store *store)
{
        return store->scrub || db_log_pages(store->db) >= CHECKPOINT_PAGES;
}

int store_checkpoint(struct store *store, struct err *err)
{
        if (db_checkpoint(store->db, store->scrub, err) != 0)
                return err_wrap(err, "store");
        store->scrub = false;
        return 0;
}
