#include <stdlib.h>
#include <string.h>

#include "base/writer.h"
#include "store/overlay.h"
#include "store/store-rows.h"

#define HEADS_ENCODED (HEADS_KINDS * (8 + HEADS_TAG_LEN))

struct db_value db_text(const char *text)
{
        return (struct db_value){
            .type = DB_TEXT,
            .bytes = {(const uint8_t *)text, strlen(text)},
        };
}

static int heads_decode(struct bytes encoded, struct head *ret_head)
{
        struct reader r = reader_from_bytes(encoded);

        for (size_t i = 0; i < HEADS_KINDS; i++)
                if (reader_get_be64(&r, &ret_head[i].sequence) != 0 ||
                    reader_get_copy(&r, ret_head[i].tag, HEADS_TAG_LEN) != 0)
                        return ERR_MALFORMED;
        return reader_finish(&r);
}

static int decode_name(struct bytes text, struct store_instance *instance)
{
        if (text.len == 0 || text.len > STORE_NAME_MAX)
                return ERR_MALFORMED;
        memcpy(instance->name, text.data, text.len);
        instance->name[text.len] = '\0';
        return store_name_is_valid(instance->name) ? 0 : ERR_MALFORMED;
}

/* The columns of INSTANCE in db.c. The rows are authentic only once the heads were compared. */
static int row_decode(struct store *store, enum db_stmt stmt, struct row *ret_row, struct err *err)
{
        struct db *db = store->db;
        struct bytes uuid = db_column_bytes(db, stmt, 0);
        struct row row = {0};
        uint64_t state = db_column_number(db, stmt, 2);

        row.instance.sequence = db_column_number(db, stmt, 3);
        if (decode_name(db_column_bytes(db, stmt, 1), &row.instance) != 0)
                return err_set(err, ERR_DAMAGED, "an instance's name is malformed");
        if (state == 0 || state >= STORE_STATE_COUNT)
                return err_set(err, ERR_DAMAGED, "%s: unknown state %llu", row.instance.name,
                               (unsigned long long)state);
        row.instance.state = (enum store_state)state;
        if (heads_decode(db_column_bytes(db, stmt, 4), row.head) != 0)
                return err_set(err, ERR_DAMAGED, "%s: heads malformed", row.instance.name);
        if (security_block_decode(db_column_bytes(db, stmt, 5), &row.instance.block, err) != 0) {
                (void)err_wrap(err, "%s", row.instance.name);
                err->code = ERR_DAMAGED;
                return ERR_DAMAGED;
        }
        if (uuid.len != BLOCK_UUID_LEN ||
            memcmp(uuid.data, row.instance.block.uuid, BLOCK_UUID_LEN) != 0)
                return err_set(err, ERR_DAMAGED, "%s: security block of another VM",
                               row.instance.name);
        *ret_row = row;
        return 0;
}

int row_query(struct store *store, const struct db_call *call, bool *ret_found, struct row *ret_row,
              struct err *err)
{
        int rc = db_query(store->db, call, ret_found, err);

        if (rc == 0 && *ret_found)
                rc = row_decode(store, call->stmt, ret_row, err);
        db_query_done(store->db, call->stmt);
        if (rc == 0 && *ret_found && store_uses_overlay(store)) {
                const struct overlay_entry *newer =
                    overlay_find(store->overlay, ret_row->instance.block.uuid);

                if (newer != NULL)
                        *ret_row = newer->row;
        }
        return rc == 0 ? 0 : err_wrap(err, "store");
}

/* Whoever reads a state reads another one of the same instance next, or writes one. */
static bool is_last(const struct store *store, const uint8_t *uuid)
{
        return store->has_last &&
               memcmp(store->last.instance.block.uuid, uuid, BLOCK_UUID_LEN) == 0;
}

int row_get(struct store *store, const uint8_t *uuid, struct row *ret_row, struct err *err)
{
        struct db_call call = {DB_INSTANCE_GET, {db_bytes(uuid, BLOCK_UUID_LEN)}};
        const struct overlay_entry *newer =
            store_uses_overlay(store) ? overlay_find(store->overlay, uuid) : NULL;
        bool found = false;
        int rc;

        if (newer != NULL) {
                *ret_row = newer->row;
                return 0;
        }
        if (is_last(store, uuid)) {
                *ret_row = store->last;
                return 0;
        }
        rc = row_query(store, &call, &found, ret_row, err);
        if (rc == 0 && !found)
                return err_set(err, ERR_NOT_FOUND, "no such instance");
        store->has_last = rc == 0;
        if (rc == 0)
                store->last = *ret_row;
        return rc;
}

/* The columns of a row in memory that lives as long as the call. */
struct encoded {
        uint8_t heads[HEADS_ENCODED];
        uint8_t block[BLOCK_ENCODED_MAX];
        struct writer heads_writer, block_writer;
};

static int encode(const struct row *row, struct encoded *e, struct err *err)
{
        writer_init_fixed(&e->heads_writer, e->heads, sizeof(e->heads));
        for (size_t i = 0; i < HEADS_KINDS; i++) {
                writer_put_be64(&e->heads_writer, row->head[i].sequence);
                writer_put(&e->heads_writer, row->head[i].tag, HEADS_TAG_LEN);
        }
        writer_init_fixed(&e->block_writer, e->block, sizeof(e->block));
        security_block_encode(&row->instance.block, &e->block_writer);
        if (writer_check(&e->heads_writer) != 0 || writer_check(&e->block_writer) != 0)
                return err_set(err, ERR_LIMIT, "security block too large");
        return 0;
}

static struct db_call call_for(const struct row *old, const struct row *new,
                               const struct encoded *e)
{
        const struct row *row = new == NULL ? old : new;

        if (row == NULL)
                abort(); /* a change is from something or to something */
        struct db_value uuid = db_bytes(row->instance.block.uuid, BLOCK_UUID_LEN);
        struct db_value heads = db_bytes(e->heads, e->heads_writer.len);
        struct db_value block = db_bytes(e->block, e->block_writer.len);
        struct db_value state = db_number((uint64_t)row->instance.state);
        struct db_value sequence = db_number(row->instance.sequence);

        if (new == NULL)
                return (struct db_call){DB_INSTANCE_DELETE, {uuid}};
        if (old == NULL)
                return (struct db_call){
                    DB_INSTANCE_INSERT,
                    {uuid, db_text(row->instance.name), state, sequence, heads, block},
                };
        return (struct db_call){DB_INSTANCE_UPDATE, {uuid, state, sequence, heads, block}};
}

static int apply(struct store *store, struct db_call first, const struct db_call *more,
                 size_t n_more, struct err *err)
{
        struct db_call calls[1 + ROW_CALLS_MAX] = {first};

        store->has_last = false;
        if (n_more > ROW_CALLS_MAX)
                return err_set(err, ERR_LIMIT, "store: %zu calls at once", n_more);
        if (n_more > 0)
                memcpy(&calls[1], more, n_more * sizeof(*more));
        return db_apply(store->db, calls, 1 + n_more, err);
}

int row_write(struct store *store, const struct row *row, const struct db_call *more, size_t n_more,
              struct err *err)
{
        struct encoded e = {0};
        int rc = encode(row, &e, err);

        return rc != 0 ? rc : apply(store, call_for(row, row, &e), more, n_more, err);
}

int row_change(struct store *store, const struct row *old, const struct row *new,
               const struct db_call *more, size_t n_more, struct err *err)
{
        struct heads heads;
        struct encoded e = {0};
        int rc = store_use_database(store, err);

        if (rc != 0)
                return rc;
        heads = store->working;
        if (old != NULL &&
            heads_remove_instance(&heads, store->heads_mac, &old->instance, old->head, err) != 0)
                return err->code;
        if (new != NULL &&
            (heads_add_instance(&heads, store->heads_mac, &new->instance, new->head, err) != 0 ||
             encode(new, &e, err) != 0))
                return err->code;
        rc = apply(store, call_for(old, new, &e), more, n_more, err);
        if (rc == 0)
                store->working = heads;
        return rc;
}
