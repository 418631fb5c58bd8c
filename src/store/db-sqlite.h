/*
 * What db.c and db-open.c share: SQLite's handles and the mapping of its errors.
 */
#ifndef STORE_DB_SQLITE_H
#define STORE_DB_SQLITE_H

#include <limits.h>

#include <sqlite3.h>

#include "store/db.h"

/*
 * A commit writes whole pages and its fdatasync pays for each, so pages are small: a fresh blob
 * of 1.4 kB fits one, one with certificates (6 kB) takes two. The log is kept at its size and
 * written over and over, so that a commit's fdatasync has no file size to write.
 */
#define DB_PAGE_SIZE     4096
#define DB_LOG_PAGES     512 /* a checkpoint is due */
#define DB_LOG_LEN       (4U << 20)
#define DB_LOG_PAGES_MAX 4096 /* a commit does the checkpoint itself */

/* A remembered call with its own copy of the bytes. */
struct db_done {
        struct db_done *next;
        struct db_call call;
        uint8_t memory[];
};

struct db {
        sqlite3 *handle;
        sqlite3_stmt *stmts[DB_STMT_COUNT];
        char path[PATH_MAX];
        unsigned log_pages;
        unsigned format;
        bool in_transaction;
        struct db_done *first, *last; /* since db_begin() */
        size_t n_done, len_done;
        size_t max_calls, max_len;
};

/* Sets err from SQLite's last error and returns its code. */
int db_fail(sqlite3 *handle, struct err *err, const char *what);

/* Runs SQL text without results. */
int db_exec(sqlite3 *handle, const char *sql, struct err *err) MUST_CHECK;

/* Prepares the statements of every operation once. */
int db_prepare_all(struct db *db, struct err *err) MUST_CHECK;

/* Grows the log to DB_LOG_LEN bytes, or overwrites all of it with zeros. Only speed is lost
 * when the former fails. */
int db_log_prepare(struct db *db, bool scrub, struct err *err) MUST_CHECK;

#endif
