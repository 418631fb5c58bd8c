#include <stdlib.h>
#include <string.h>

#include "store/store-rows.h"

bool store_name_is_valid(const char *name)
{
        size_t len = strnlen(name, STORE_NAME_MAX + 1);

        return len > 0 && len <= STORE_NAME_MAX &&
               strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

static int copy_out(struct bytes bytes, uint8_t **ret_data, size_t *ret_len, struct err *err)
{
        uint8_t *data = malloc(bytes.len + 1);

        if (data == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        if (bytes.len > 0)
                memcpy(data, bytes.data, bytes.len);
        data[bytes.len] = '\0';
        *ret_data = data;
        *ret_len = bytes.len;
        return 0;
}

int store_get_record(struct store *store, const char *name, uint8_t **ret_data, size_t *ret_len,
                     struct err *err)
{
        struct db_call call = {DB_RECORD_GET, {db_text(name)}};
        bool found = false;
        int rc = db_query(store->db, &call, &found, err);

        if (rc == 0 && !found)
                rc = err_set(err, ERR_NOT_FOUND, "store: no record \"%s\"", name);
        if (rc == 0)
                rc = copy_out(db_column_bytes(store->db, DB_RECORD_GET, 1), ret_data, ret_len, err);
        db_query_done(store->db, DB_RECORD_GET);
        return rc;
}

/* Takes the record's present row, if there is one, out of the heads. */
static int remove_present(struct store *store, const char *name, struct heads *heads,
                          struct err *err)
{
        uint8_t AUTO_FREE *data = NULL;
        size_t len = 0;
        int rc = store_get_record(store, name, &data, &len, err);

        if (rc != 0)
                return rc;
        return heads_remove_record(heads, store->heads_mac, name, (struct bytes){data, len}, err);
}

int store_put_record(struct store *store, const char *name, struct bytes value, struct err *err)
{
        struct db_call call = {DB_RECORD_PUT, {db_text(name), db_bytes(value.data, value.len)}};
        struct heads heads;
        int rc = store_check_change(store, err);

        if (rc == 0)
                rc = store_use_database(store, err);
        if (rc != 0)
                return rc;
        heads = store->working;
        if (!store_name_is_valid(name))
                return err_set(err, ERR_USAGE, "store: bad name of a record");
        if (value.len > STORE_RECORD_MAX)
                return err_set(err, ERR_LIMIT, "store: record of %zu bytes", value.len);
        rc = remove_present(store, name, &heads, err);
        if (rc != 0 && rc != ERR_NOT_FOUND)
                return rc;
        if (heads_add_record(&heads, store->heads_mac, name, value, err) != 0 ||
            db_apply(store->db, &call, 1, err) != 0)
                return err_wrap(err, "store: record \"%s\"", name);
        store->working = heads;
        return 0;
}

int store_delete_record(struct store *store, const char *name, struct err *err)
{
        struct db_call call = {DB_RECORD_DELETE, {db_text(name)}};
        struct heads heads;

        if (store_check_change(store, err) != 0 || store_use_database(store, err) != 0)
                return err->code;
        heads = store->working;
        if (remove_present(store, name, &heads, err) != 0 ||
            db_apply(store->db, &call, 1, err) != 0)
                return err->code;
        store->working = heads;
        store->deleted = true;
        return 0;
}
