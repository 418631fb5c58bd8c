#include "store/db.h"

#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "store/db-sqlite.h"

#define INSTANCE "SELECT uuid, name, state, sequence, heads, block FROM instances WHERE "

static const char *const sql[DB_STMT_COUNT] = {
    [DB_RECORD_PUT] = "INSERT INTO records (name, value) VALUES (?1, ?2) "
                      "ON CONFLICT (name) DO UPDATE SET value = ?2",
    [DB_RECORD_GET] = "SELECT name, value FROM records WHERE name = ?1",
    [DB_RECORD_NEXT] = "SELECT name, value FROM records WHERE name > ?1 ORDER BY name LIMIT 1",
    [DB_RECORD_DELETE] = "DELETE FROM records WHERE name = ?1",
    [DB_INSTANCE_INSERT] = "INSERT INTO instances (uuid, name, state, sequence, heads, block) "
                           "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [DB_INSTANCE_UPDATE] = "UPDATE instances SET state = ?2, sequence = ?3, heads = ?4, block = ?5 "
                           "WHERE uuid = ?1",
    [DB_INSTANCE_GET] = INSTANCE "uuid = ?1",
    [DB_INSTANCE_FIND] = INSTANCE "name = ?1",
    [DB_INSTANCE_NEXT] = INSTANCE "name > ?1 ORDER BY name LIMIT 1",
    [DB_INSTANCE_DELETE] = "DELETE FROM instances WHERE uuid = ?1",
    [DB_CONFIG_PUT] = "INSERT INTO vms (uuid, config) VALUES (?1, ?2) "
                      "ON CONFLICT (uuid) DO UPDATE SET config = ?2",
    [DB_CONFIG_GET] = "SELECT config FROM vms WHERE uuid = ?1",
    [DB_BLOB_PUT] = "INSERT INTO blobs (uuid, kind, sequence, sealed) VALUES (?1, ?2, ?3, ?4) "
                    "ON CONFLICT (uuid, kind) DO UPDATE SET sequence = ?3, sealed = ?4",
    [DB_BLOB_GET] = "SELECT sequence, sealed FROM blobs WHERE uuid = ?1 AND kind = ?2",
    [DB_HEADS_PUT] = "INSERT INTO heads (id, generation, mac) VALUES (1, ?1, ?2) "
                     "ON CONFLICT (id) DO UPDATE SET generation = ?1, mac = ?2",
    [DB_HEADS_GET] = "SELECT generation, mac FROM heads WHERE id = 1",
};

/* SQLite's primary result codes; all others are ERR_FAILED. */
static const struct {
        int result, code;
} codes[] = {
    {SQLITE_FULL, ERR_IO},
    {SQLITE_IOERR, ERR_IO},
    {SQLITE_CANTOPEN, ERR_IO},
    {SQLITE_CORRUPT, ERR_DAMAGED},
    {SQLITE_NOTADB, ERR_DAMAGED},
    {SQLITE_BUSY, ERR_CONFLICT},
    {SQLITE_LOCKED, ERR_CONFLICT},
    {SQLITE_CONSTRAINT, ERR_CONFLICT},
    {SQLITE_NOMEM, ERR_NO_MEMORY},
    {SQLITE_READONLY, ERR_NOT_PERMITTED},
    {SQLITE_PERM, ERR_NOT_PERMITTED},
    {SQLITE_AUTH, ERR_NOT_PERMITTED},
    {SQLITE_TOOBIG, ERR_LIMIT},
};

int db_fail(sqlite3 *handle, struct err *err, const char *what)
{
        int result = handle == NULL ? SQLITE_NOMEM : sqlite3_errcode(handle);
        int code = ERR_FAILED;

        for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
                if (codes[i].result == (result & 0xff))
                        code = codes[i].code;
        (void)err_set(err, code, "%s: %s", what,
                      handle == NULL ? "out of memory" : sqlite3_errmsg(handle));
        if ((result & 0xff) == SQLITE_FULL)
                return err_hint(err, "free some space: what was not saved is retried");
        if ((result & 0xff) == SQLITE_BUSY)
                return err_hint(err, "another process has this store open");
        return code;
}

int db_exec(sqlite3 *handle, const char *text, struct err *err)
{
        if (sqlite3_exec(handle, text, NULL, NULL, NULL) != SQLITE_OK)
                return db_fail(handle, err, text);
        return 0;
}

int db_prepare_all(struct db *db, struct err *err)
{
        for (size_t i = 0; i < DB_STMT_COUNT; i++)
                if (sqlite3_prepare_v3(db->handle, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                                       &db->stmts[i], NULL) != SQLITE_OK)
                        return db_fail(db->handle, err, sql[i]);
        return 0;
}

static int bind(sqlite3_stmt *stmt, int index, const struct db_value *value)
{
        static const char empty[1];
        const void *data = value->bytes.len > 0 ? (const void *)value->bytes.data : empty;

        if (value->type == DB_NUMBER)
                return sqlite3_bind_int64(stmt, index, (sqlite3_int64)value->number);
        if (value->type == DB_TEXT)
                return sqlite3_bind_text64(stmt, index, data, value->bytes.len, SQLITE_STATIC,
                                           SQLITE_UTF8);
        return sqlite3_bind_blob64(stmt, index, data, value->bytes.len, SQLITE_STATIC);
}

static int bind_all(struct db *db, const struct db_call *call, struct err *err)
{
        sqlite3_stmt *stmt = db->stmts[call->stmt];
        int n = sqlite3_bind_parameter_count(stmt);

        for (int i = 0; i < n; i++)
                if (bind(stmt, i + 1, &call->values[i]) != SQLITE_OK)
                        return db_fail(db->handle, err, "bind");
        return 0;
}

/* Values are bound without a copy: they must not stay bound beyond the call. */
static void finish(struct db *db, enum db_stmt stmt)
{
        (void)sqlite3_reset(db->stmts[stmt]);
        (void)sqlite3_clear_bindings(db->stmts[stmt]);
}

static int run(struct db *db, const struct db_call *call, struct err *err)
{
        int rc = bind_all(db, call, err);

        if (rc == 0 && sqlite3_step(db->stmts[call->stmt]) != SQLITE_DONE)
                rc = db_fail(db->handle, err, "write");
        finish(db, call->stmt);
        return rc;
}

/* --- remembered calls ----------------------------------------------------------------------- */

static size_t call_len(const struct db *db, const struct db_call *call)
{
        int n = sqlite3_bind_parameter_count(db->stmts[call->stmt]);
        size_t len = 0;

        for (int i = 0; i < n; i++)
                len += call->values[i].bytes.len;
        return len;
}

static struct db_done *remember(const struct db *db, const struct db_call *call)
{
        int n = sqlite3_bind_parameter_count(db->stmts[call->stmt]);
        size_t len = call_len(db, call);
        struct db_done *done = malloc(sizeof(*done) + len);
        size_t at = 0;

        if (done == NULL)
                return NULL;
        done->next = NULL;
        done->call = *call;
        for (int i = 0; i < n; i++) {
                struct bytes *bytes = &done->call.values[i].bytes;

                if (bytes->len == 0)
                        continue;
                memcpy(done->memory + at, bytes->data, bytes->len);
                bytes->data = done->memory + at;
                at += bytes->len;
        }
        return done;
}

static void forget(struct db *db)
{
        struct db_done *next;

        for (struct db_done *done = db->first; done != NULL; done = next) {
                next = done->next;
                free(done);
        }
        db->first = db->last = NULL;
        db->n_done = db->len_done = 0;
}

static void append(struct db *db, struct db_done *done)
{
        if (db->last == NULL)
                db->first = done;
        else
                db->last->next = done;
        db->last = done;
        db->n_done++;
        db->len_done += call_len(db, &done->call);
}

/* --- transactions ----------------------------------------------------------------------------- */

static void abandon(struct db *db)
{
        if (sqlite3_get_autocommit(db->handle) == 0)
                (void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
}

/* Makes sure that SQLite is in a transaction that holds everything remembered. */
static int resume(struct db *db, struct err *err)
{
        int rc;

        if (sqlite3_get_autocommit(db->handle) == 0)
                return 0;
        rc = db_exec(db->handle, "BEGIN IMMEDIATE", err);
        for (struct db_done *done = db->first; done != NULL && rc == 0; done = done->next)
                rc = run(db, &done->call, err);
        if (rc != 0)
                abandon(db);
        return rc;
}

int db_begin(struct db *db, struct err *err)
{
        int rc;

        if (db->in_transaction)
                return err_set(err, ERR_FAILED, "store: a transaction is already open");
        rc = db_exec(db->handle, "BEGIN IMMEDIATE", err);
        db->in_transaction = rc == 0;
        return rc;
}

int db_commit(struct db *db, const struct db_call *last, struct err *err)
{
        struct err ignored;
        int rc;

        if (!db->in_transaction)
                return err_set(err, ERR_FAILED, "store: no transaction");
        rc = resume(db, err);
        if (rc == 0)
                rc = run(db, last, err);
        if (rc == 0)
                rc = db_exec(db->handle, "COMMIT", err);
        if (rc != 0) {
                abandon(db);
                return rc;
        }
        db->in_transaction = false;
        forget(db);
        /* Only if nobody called db_checkpoint() for long; its failure loses nothing. */
        if (db->log_pages >= DB_LOG_PAGES_MAX && db_checkpoint(db, false, &ignored) != 0)
                return 0;
        return 0;
}

void db_rollback(struct db *db)
{
        abandon(db);
        forget(db);
        db->in_transaction = false;
}

bool db_in_transaction(const struct db *db)
{
        return db->in_transaction;
}

void db_set_limits(struct db *db, size_t max_calls, size_t max_len)
{
        db->max_calls = max_calls;
        db->max_len = max_len;
}

static int check_limits(const struct db *db, const struct db_call *calls, size_t n, struct err *err)
{
        size_t len = db->len_done;

        for (size_t i = 0; i < n; i++)
                len += call_len(db, &calls[i]);
        if (db->n_done + n > db->max_calls || len > db->max_len)
                return err_set(err, ERR_LIMIT, "store: transaction too large");
        return 0;
}

static void free_all(struct db_done **done, size_t n)
{
        for (size_t i = 0; i < n; i++)
                free(done[i]);
}

int db_apply(struct db *db, const struct db_call *calls, size_t n, struct err *err)
{
        struct db_done *done[DB_STMT_COUNT] = {NULL};
        int rc;

        if (!db->in_transaction)
                return err_set(err, ERR_FAILED, "store: no transaction");
        if (n > ARRAY_SIZE(done))
                return err_set(err, ERR_LIMIT, "store: %zu calls at once", n);
        rc = check_limits(db, calls, n, err);
        if (rc == 0)
                rc = resume(db, err);
        for (size_t i = 0; i < n && rc == 0; i++) {
                done[i] = remember(db, &calls[i]);
                rc = done[i] == NULL ? err_set(err, ERR_NO_MEMORY, "out of memory")
                                     : run(db, &calls[i], err);
        }
        if (rc != 0) {
                /* The next use plays what was there before these calls. */
                abandon(db);
                free_all(done, n);
                return rc;
        }
        for (size_t i = 0; i < n; i++)
                append(db, done[i]);
        return 0;
}

/* --- queries ------------------------------------------------------------------------------------
 */

int db_query(struct db *db, const struct db_call *call, bool *ret_found, struct err *err)
{
        int rc = db->in_transaction ? resume(db, err) : 0;
        int result;

        if (rc == 0)
                rc = bind_all(db, call, err);
        if (rc != 0)
                return rc;
        result = sqlite3_step(db->stmts[call->stmt]);
        if (result != SQLITE_ROW && result != SQLITE_DONE)
                return db_fail(db->handle, err, "read");
        *ret_found = result == SQLITE_ROW;
        return 0;
}

void db_query_done(struct db *db, enum db_stmt stmt)
{
        finish(db, stmt);
}

uint64_t db_column_number(struct db *db, enum db_stmt stmt, int column)
{
        return (uint64_t)sqlite3_column_int64(db->stmts[stmt], column);
}

struct bytes db_column_bytes(struct db *db, enum db_stmt stmt, int column)
{
        const uint8_t *data = sqlite3_column_blob(db->stmts[stmt], column);
        int len = sqlite3_column_bytes(db->stmts[stmt], column);

        return (struct bytes){data, data == NULL || len < 0 ? 0 : (size_t)len};
}

/* --- the log
 * --------------------------------------------------------------------------------------- */

unsigned db_log_pages(const struct db *db)
{
        return db->log_pages;
}

int db_checkpoint(struct db *db, bool scrub, struct err *err)
{
        int mode = scrub ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE;
        int left = 0;
        int copied = 0;

        if (db->in_transaction)
                return err_set(err, ERR_FAILED, "store: checkpoint inside of a transaction");
        if (sqlite3_wal_checkpoint_v2(db->handle, "main", mode, &left, &copied) != SQLITE_OK)
                return db_fail(db->handle, err, "checkpoint");
        db->log_pages = left > copied ? (unsigned)(left - copied) : 0;
        if (!scrub)
                return 0;
        /* RESTART made the next commit begin the log anew: nothing in it is needed any more. */
        return db_log_prepare(db, true, err);
}
