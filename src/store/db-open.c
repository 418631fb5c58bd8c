/*
 * Making and opening the database. Everything about a file that is not exactly one of ours is an
 * error for a person; nothing is repaired or replaced here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "store/db-sqlite.h"

#define STRING_(x) #x
#define STRING(x)  STRING_(x)

/* The schema, compared word by word at every start: no foreign trigger or view can slip in. */
static const char *const schema[] = {
    "CREATE TABLE heads (id INTEGER PRIMARY KEY CHECK (id = 1), generation INTEGER NOT NULL, "
    "mac BLOB NOT NULL) STRICT",
    "CREATE TABLE records (name TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL) "
    "STRICT, WITHOUT ROWID",
    "CREATE TABLE instances (id INTEGER PRIMARY KEY, uuid BLOB NOT NULL UNIQUE, "
    "name TEXT NOT NULL UNIQUE, state INTEGER NOT NULL, sequence INTEGER NOT NULL, "
    "heads BLOB NOT NULL, block BLOB NOT NULL) STRICT",
    "CREATE TABLE vms (id INTEGER PRIMARY KEY, uuid BLOB NOT NULL UNIQUE "
    "REFERENCES instances (uuid) ON DELETE CASCADE, config BLOB NOT NULL) STRICT",
    "CREATE TABLE blobs (id INTEGER PRIMARY KEY, uuid BLOB NOT NULL "
    "REFERENCES instances (uuid) ON DELETE CASCADE, kind INTEGER NOT NULL, "
    "sequence INTEGER NOT NULL, sealed BLOB NOT NULL, UNIQUE (uuid, kind)) STRICT",
};

/* For both, the creator and every later opener. */
static const char settings[] = "PRAGMA foreign_keys = ON;"
                               "PRAGMA trusted_schema = OFF;"
                               "PRAGMA cell_size_check = ON;"
                               "PRAGMA temp_store = MEMORY;"
                               "PRAGMA cache_spill = OFF;"
                               "PRAGMA secure_delete = ON;"
                               "PRAGMA locking_mode = EXCLUSIVE;";

/* EXCLUSIVE comes before WAL, so that the log's index is in our memory and not in a shared file
 * that any process of this uid could change. Reads never go through mmap: there an I/O error
 * would be a signal. */
static const char wal_settings[] = "PRAGMA journal_mode = WAL;"
                                   "PRAGMA synchronous = FULL;"
                                   "PRAGMA wal_autocheckpoint = 0;"
                                   "PRAGMA mmap_size = 0;";

static int open_handle(const char *path, const char *vfs, sqlite3 **ret_handle, struct err *err)
{
        int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
        sqlite3 *handle = NULL;
        int keep_log = 1;
        int rc = 0;

        if (sqlite3_open_v2(path, &handle, flags, vfs) != SQLITE_OK)
                rc = db_fail(handle, err, "open");
        /* Closing must not change a database that turns out not to be ours. */
        if (rc == 0 &&
            (sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL) != SQLITE_OK ||
             sqlite3_db_config(handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL) != SQLITE_OK ||
             sqlite3_file_control(handle, "main", SQLITE_FCNTL_PERSIST_WAL, &keep_log) != 0))
                rc = db_fail(handle, err, "configure");
        if (rc == 0)
                rc = db_exec(handle, settings, err);
        if (rc != 0) {
                (void)sqlite3_close(handle);
                return rc;
        }
        *ret_handle = handle;
        return 0;
}

static int sync_parent(const char *path, struct err *err)
{
        char dir[PATH_MAX];
        const char *slash = strrchr(path, '/');
        int AUTO_FD fd = -1;

        (void)snprintf(dir, sizeof(dir), "%.*s", slash == NULL ? 1 : (int)(slash - path + 1),
                       slash == NULL ? "." : path);
        fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fsync(fd) < 0)
                return err_set_errno(err, errno, "fsync %s", dir);
        return 0;
}

static int fill_new(sqlite3 *handle, struct err *err)
{
        int rc = db_exec(
            handle,
            "PRAGMA page_size = " STRING(
                DB_PAGE_SIZE) "; PRAGMA synchronous = FULL;"
                              "BEGIN; PRAGMA application_id = " STRING(
                                  DB_APPLICATION_ID) ";"
                                                     "PRAGMA user_version = " STRING(DB_FORMAT) ";",
            err);

        for (size_t i = 0; i < ARRAY_SIZE(schema) && rc == 0; i++)
                rc = db_exec(handle, schema[i], err);
        if (rc == 0)
                rc = db_exec(handle, "COMMIT", err);
        return rc;
}

/* Under another name until it is complete, so that a crash leaves no half-made database. */
static int create(const char *path, const char *vfs, struct err *err)
{
        char temporary[PATH_MAX];
        sqlite3 *handle = NULL;
        int AUTO_FD fd = -1;
        int rc;

        (void)snprintf(temporary, sizeof(temporary), "%s.new", path);
        if (unlink(temporary) < 0 && errno != ENOENT)
                return err_set_errno(err, errno, "remove %s", temporary);
        fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
                return err_set_errno(err, errno, "create %s", temporary);
        fd_close(&fd);
        rc = open_handle(temporary, vfs, &handle, err);
        if (rc == 0) {
                rc = fill_new(handle, err);
                (void)sqlite3_close(handle);
        }
        if (rc == 0 && rename(temporary, path) < 0)
                rc = err_set_errno(err, errno, "rename to %s", path);
        if (rc != 0) {
                (void)unlink(temporary);
                return err_wrap(err, "make a new store");
        }
        return sync_parent(path, err);
}

static int check_file(const char *path, const char *vfs, struct err *err)
{
        char log[PATH_MAX];
        struct stat st;

        if (snprintf(log, sizeof(log), "%s-wal", path) > (int)sizeof(log) - 8)
                return err_set(err, ERR_LIMIT, "path too long");
        if (stat(path, &st) == 0) {
                if (!S_ISREG(st.st_mode) || st.st_size == 0)
                        return err_set(err, ERR_DAMAGED, "%s is empty or not a file", path);
                return 0;
        }
        if (errno != ENOENT)
                return err_set_errno(err, errno, "%s", path);
        if (stat(log, &st) == 0)
                return err_set(err, ERR_DAMAGED, "%s is missing, but its log %s is there", path,
                               log);
        return create(path, vfs, err);
}

/* The first column of a one-row query, as a number or text. */
static int ask(sqlite3 *handle, const char *question, int64_t *ret_number, char *ret_text,
               size_t size, struct err *err)
{
        sqlite3_stmt *stmt = NULL;
        const unsigned char *text;
        int rc = 0;

        if (sqlite3_prepare_v2(handle, question, -1, &stmt, NULL) != SQLITE_OK ||
            sqlite3_step(stmt) != SQLITE_ROW) {
                rc = db_fail(handle, err, "read");
        } else {
                *ret_number = sqlite3_column_int64(stmt, 0);
                text = sqlite3_column_text(stmt, 0);
                (void)snprintf(ret_text, size, "%s", text == NULL ? "" : (const char *)text);
        }
        (void)sqlite3_finalize(stmt);
        return rc;
}

static int check_identity(sqlite3 *handle, unsigned *ret_format, struct err *err)
{
        int64_t id = 0;
        int64_t format = 0;
        char text[32];

        if (ask(handle, "PRAGMA application_id", &id, text, sizeof(text), err) != 0 ||
            ask(handle, "PRAGMA user_version", &format, text, sizeof(text), err) != 0)
                return err->code;
        if (id != DB_APPLICATION_ID)
                return err_set(err, ERR_DAMAGED, "a database, but not a store of Catena");
        if (format > DB_FORMAT) {
                (void)err_set(err, ERR_DAMAGED, "format %lld, newer than %d", (long long)format,
                              DB_FORMAT);
                return err_hint(err, "a newer version of Catena wrote it: run that one");
        }
        if (format < DB_FORMAT_OLDEST)
                return err_set(err, ERR_DAMAGED, "unknown format %lld", (long long)format);
        *ret_format = (unsigned)format;
        return 0;
}

static int check_schema_row(sqlite3_stmt *stmt, size_t n, struct err *err)
{
        const char *text = (const char *)sqlite3_column_text(stmt, 0);

        if (n >= ARRAY_SIZE(schema) || text == NULL || strcmp(text, schema[n]) != 0)
                return err_set(err, ERR_DAMAGED, "unexpected in its schema: %.80s",
                               text == NULL ? "?" : text);
        return 0;
}

static int check_schema(sqlite3 *handle, struct err *err)
{
        sqlite3_stmt *stmt = NULL;
        size_t n = 0;
        int result = SQLITE_DONE;
        int rc = 0;

        if (sqlite3_prepare_v2(handle,
                               "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid",
                               -1, &stmt, NULL) != SQLITE_OK)
                return db_fail(handle, err, "read schema");
        while (rc == 0 && (result = sqlite3_step(stmt)) == SQLITE_ROW)
                rc = check_schema_row(stmt, n++, err);
        if (rc == 0 && result != SQLITE_DONE)
                rc = db_fail(handle, err, "read schema");
        if (rc == 0 && n != ARRAY_SIZE(schema))
                rc = err_set(err, ERR_DAMAGED, "tables are missing");
        (void)sqlite3_finalize(stmt);
        return rc;
}

static int check_integrity(sqlite3 *handle, struct err *err)
{
        int64_t number;
        char text[160];

        if (ask(handle, "PRAGMA integrity_check(1)", &number, text, sizeof(text), err) != 0)
                return err->code;
        if (strcmp(text, "ok") != 0)
                return err_set(err, ERR_DAMAGED, "%s", text);
        return 0;
}

static int note_log_pages(void *context, sqlite3 *handle, const char *name, int pages)
{
        struct db *db = context;

        (void)handle;
        (void)name;
        db->log_pages = pages < 0 ? 0 : (unsigned)pages;
        return SQLITE_OK;
}

static int start_log(struct db *db, struct err *err)
{
        struct err ignored;
        int rc = db_exec(db->handle, wal_settings, err);

        if (rc != 0)
                return rc;
        (void)sqlite3_wal_hook(db->handle, note_log_pages, db);
        if (db_log_prepare(db, false, &ignored) != 0)
                return 0; /* slower, not wrong */
        return 0;
}

static int open_checked(struct db *db, const char *vfs, struct err *err)
{
        int rc = check_file(db->path, vfs, err);

        if (rc == 0)
                rc = open_handle(db->path, vfs, &db->handle, err);
        if (rc == 0)
                rc = check_identity(db->handle, &db->format, err);
        if (rc == 0)
                rc = check_schema(db->handle, err);
        if (rc == 0)
                rc = check_integrity(db->handle, err);
        if (rc == 0)
                rc = start_log(db, err);
        if (rc == 0)
                rc = db_prepare_all(db, err);
        return rc;
}

int db_open(const char *path, const char *vfs, struct db **ret_db, struct err *err)
{
        struct db *db = calloc(1, sizeof(*db));

        if (db == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        db->max_calls = db->max_len = SIZE_MAX;
        (void)snprintf(db->path, sizeof(db->path), "%s", path);
        if (open_checked(db, vfs, err) != 0) {
                db_close(db);
                return err_wrap(err, "store %s", path);
        }
        *ret_db = db;
        return 0;
}

unsigned db_format(const struct db *db)
{
        return db->format;
}

int db_raise_format(struct db *db, struct err *err)
{
        int rc = db_exec(db->handle, "PRAGMA user_version = " STRING(DB_FORMAT), err);

        if (rc == 0)
                db->format = DB_FORMAT;
        return rc;
}

void db_close(struct db *db)
{
        if (db == NULL)
                return;
        if (db->handle != NULL)
                db_rollback(db);
        for (size_t i = 0; i < DB_STMT_COUNT; i++)
                (void)sqlite3_finalize(db->stmts[i]);
        (void)sqlite3_close(db->handle);
        free(db);
}

int db_log_prepare(struct db *db, bool scrub, struct err *err)
{
        static const uint8_t zeros[64U << 10];
        char path[PATH_MAX + 8];
        struct stat st;
        off_t end;
        int AUTO_FD fd = -1;

        (void)snprintf(path, sizeof(path), "%s-wal", db->path);
        fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || fstat(fd, &st) < 0)
                return err_set_errno(err, errno, "open %s", path);
        end = st.st_size > (off_t)DB_LOG_LEN ? st.st_size : (off_t)DB_LOG_LEN;
        for (off_t at = scrub ? 0 : st.st_size; at < end;) {
                size_t n = end - at < (off_t)sizeof(zeros) ? (size_t)(end - at) : sizeof(zeros);
                ssize_t k = pwrite(fd, zeros, n, at);

                if (k <= 0)
                        return err_set_errno(err, errno, "write %s", path);
                at += k;
        }
        if (fsync(fd) < 0)
                return err_set_errno(err, errno, "fsync %s", path);
        return 0;
}
