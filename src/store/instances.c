#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "store/store-rows.h"

const char *store_state_name(enum store_state state)
{
        static const char *const names[STORE_STATE_COUNT] = {
            [STORE_STATE_CREATED] = "created",
            [STORE_STATE_INITIALISED] = "initialised",
        };

        return state > 0 && state < STORE_STATE_COUNT ? names[state] : "unknown";
}

static int config_digest(struct bytes config, uint8_t *ret_digest, struct err *err)
{
        return hash_digest(hash_by_tpm_id(HASH_TPM_SHA256), config.data, config.len, ret_digest,
                           err);
}

int store_create_instance(struct store *store, const char *name, const struct security_block *block,
                          struct err *err)
{
        struct row row = {.instance = {.state = STORE_STATE_CREATED, .block = *block}};
        int rc = store_check_change(store, err);

        if (rc != 0)
                return rc;
        if (!store_name_is_valid(name))
                return err_set(err, ERR_USAGE, "bad name: 1 to %d of a-z 0-9 . _ -",
                               STORE_NAME_MAX);
        memcpy(row.instance.name, name, strlen(name) + 1);
        rc = config_digest((struct bytes){(const uint8_t *)"", 0}, row.instance.block.config_digest,
                           err);
        if (rc == 0)
                rc = row_change(store, NULL, &row, NULL, 0, err);
        if (rc == ERR_CONFLICT)
                return err_set(err, ERR_CONFLICT, "%s: this name or UUID exists already", name);
        return rc == 0 ? 0 : err_wrap(err, "create %s", name);
}

int store_get_instance(struct store *store, const uint8_t uuid[BLOCK_UUID_LEN],
                       struct store_instance *ret_instance, struct err *err)
{
        struct row row;
        int rc = row_get(store, uuid, &row, err);

        if (rc == 0)
                *ret_instance = row.instance;
        return rc;
}

static int get_by(struct store *store, enum db_stmt stmt, const char *name,
                  struct store_instance *ret_instance, struct err *err)
{
        struct db_call call = {stmt, {db_text(name)}};
        bool found = false;
        struct row row;
        int rc = row_query(store, &call, &found, &row, err);

        if (rc == 0 && !found)
                return err_set(err, ERR_NOT_FOUND, "no instance named \"%.*s\"", STORE_NAME_MAX,
                               name);
        if (rc == 0)
                *ret_instance = row.instance;
        return rc;
}

int store_find_instance(struct store *store, const char *name, struct store_instance *ret_instance,
                        struct err *err)
{
        return get_by(store, DB_INSTANCE_FIND, name, ret_instance, err);
}

int store_next_instance(struct store *store, const char *after, struct store_instance *ret_instance,
                        struct err *err)
{
        return get_by(store, DB_INSTANCE_NEXT, after, ret_instance, err);
}

int store_update_instance(struct store *store, enum store_state state,
                          const struct security_block *block, struct err *err)
{
        struct row old, new;

        if (store_check_change(store, err) != 0 || row_get(store, block->uuid, &old, err) != 0)
                return err->code;
        if (state <= 0 || state >= STORE_STATE_COUNT || block->epoch != old.instance.block.epoch)
                return err_set(err, ERR_USAGE, "%s: bad state or epoch", old.instance.name);
        /* A manufactured TPM is never manufactured again. */
        if (state < old.instance.state)
                return err_set(err, ERR_CONFLICT, "%s is already %s", old.instance.name,
                               store_state_name(old.instance.state));
        new = old;
        new.instance.state = state;
        new.instance.block = *block;
        memcpy(new.instance.block.config_digest, old.instance.block.config_digest,
               BLOCK_DIGEST_LEN);
        return row_change(store, &old, &new, NULL, 0, err);
}

int store_delete_instance(struct store *store, const uint8_t uuid[BLOCK_UUID_LEN], struct err *err)
{
        struct row old;

        if (store_check_change(store, err) != 0 || row_get(store, uuid, &old, err) != 0 ||
            row_change(store, &old, NULL, NULL, 0, err) != 0)
                return err->code;
        store->deleted = true;
        return 0;
}

int store_get_config(struct store *store, const uint8_t uuid[BLOCK_UUID_LEN], uint8_t **ret_data,
                     size_t *ret_len, struct err *err)
{
        struct db_call call = {DB_CONFIG_GET, {db_bytes(uuid, BLOCK_UUID_LEN)}};
        uint8_t digest[BLOCK_DIGEST_LEN];
        uint8_t AUTO_FREE *data = NULL;
        struct bytes config = {0};
        bool found = false;
        struct row row;
        int rc = row_get(store, uuid, &row, err);

        if (rc != 0)
                return rc;
        rc = db_query(store->db, &call, &found, err);
        if (rc == 0 && found) {
                config = db_column_bytes(store->db, DB_CONFIG_GET, 0);
                rc = config_digest(config, digest, err);
                data = malloc(config.len + 1);
                if (data != NULL && config.len > 0)
                        memcpy(data, config.data, config.len);
        }
        db_query_done(store->db, DB_CONFIG_GET);
        if (rc != 0)
                return rc;
        if (!found)
                return err_set(err, ERR_NOT_FOUND, "%s has no configuration", row.instance.name);
        if (memcmp(digest, row.instance.block.config_digest, sizeof(digest)) != 0)
                return err_set(err, ERR_DAMAGED,
                               "%s: configuration is not the one in its security block",
                               row.instance.name);
        if (data == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        data[config.len] = '\0';
        *ret_data = TAKE(data);
        *ret_len = config.len;
        return 0;
}
