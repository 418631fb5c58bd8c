/*
 * The database under the store, without knowledge of what the rows mean: the only user of SQLite.
 *
 * Changes are executed at once and also remembered: SQLite rolls a transaction back by itself on
 * some failures (disk full, I/O error), and then the next use begins a new one and plays the
 * remembered changes again. Nothing is written to the disk before the commit.
 */
#ifndef STORE_DB_H
#define STORE_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/reader.h"

#define DB_APPLICATION_ID 0x43744e61 /* "CtNa", PRAGMA application_id */
#define DB_FORMAT         2          /* PRAGMA user_version */
#define DB_FORMAT_OLDEST  1          /* without a journal of saves; otherwise the same */
#define DB_VALUES_MAX     6

/* The statements, each with its parameters in order. */
enum db_stmt {
        DB_RECORD_PUT, /* name, value */
        DB_RECORD_GET,
        DB_RECORD_NEXT, /* name before */
        DB_RECORD_DELETE,
        DB_INSTANCE_INSERT, /* uuid, name, state, sequence, heads, block */
        DB_INSTANCE_UPDATE, /* uuid, state, sequence, heads, block */
        DB_INSTANCE_GET,    /* uuid */
        DB_INSTANCE_FIND,   /* name */
        DB_INSTANCE_NEXT,   /* name before */
        DB_INSTANCE_DELETE, /* uuid */
        DB_CONFIG_PUT,      /* uuid, config */
        DB_CONFIG_GET,
        DB_BLOB_PUT,  /* uuid, kind, sequence, sealed */
        DB_BLOB_GET,  /* uuid, kind */
        DB_HEADS_PUT, /* generation, mac */
        DB_HEADS_GET,
        DB_STMT_COUNT,
};

enum db_type { DB_NUMBER, DB_BYTES, DB_TEXT };

struct db_value {
        enum db_type type;
        uint64_t number; /* at most INT64_MAX */
        struct bytes bytes;
};

struct db_call {
        enum db_stmt stmt;
        struct db_value values[DB_VALUES_MAX]; /* as many as the statement has parameters */
};

struct db;

/* Like store_open(); vfs is the name of an SQLite VFS or NULL for the normal one. */
int db_open(const char *path, const char *vfs, struct db **ret_db, struct err *err) MUST_CHECK;
void db_close(struct db *db);

/* The format of the database that was opened, and raising it to DB_FORMAT, durably. */
unsigned db_format(const struct db *db);
int db_raise_format(struct db *db, struct err *err) MUST_CHECK;

/* Limits of one transaction. */
void db_set_limits(struct db *db, size_t max_calls, size_t max_len);

/* Opens a transaction; db_commit() or db_rollback() ends it. */
int db_begin(struct db *db, struct err *err) MUST_CHECK;

/* Runs the last call, which is not remembered, and commits. May be repeated after a failure. */
int db_commit(struct db *db, const struct db_call *last, struct err *err) MUST_CHECK;
void db_rollback(struct db *db);
bool db_in_transaction(const struct db *db);

/* All of these calls or none of them. Errors: ERR_CONFLICT (not unique), ERR_LIMIT, ERR_IO. */
int db_apply(struct db *db, const struct db_call *calls, size_t n, struct err *err) MUST_CHECK;

/*
 * Runs a query to its first row. If there is one, its columns are valid until db_query_done(),
 * which must be called in every case before the statement is used again.
 */
int db_query(struct db *db, const struct db_call *call, bool *ret_found,
             struct err *err) MUST_CHECK;
void db_query_done(struct db *db, enum db_stmt stmt);
uint64_t db_column_number(struct db *db, enum db_stmt stmt, int column);
struct bytes db_column_bytes(struct db *db, enum db_stmt stmt, int column);

/* Pages in the write-ahead log that the database does not have yet. */
unsigned db_log_pages(const struct db *db);

/* Copies the log into the database; with scrub it then overwrites the log with zeros. */
int db_checkpoint(struct db *db, bool scrub, struct err *err) MUST_CHECK;

#endif
