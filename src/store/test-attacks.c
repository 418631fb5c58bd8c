/*
 * What somebody with write access to the database's files tries: rows exchanged, copied back,
 * removed or made up, and files that are not ours.
 */
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/fs.h"
#include "lib/test.h"
#include "store/store.h"

static const uint8_t uuid_a[BLOCK_UUID_LEN] = {0xaa, 1};
static const uint8_t uuid_b[BLOCK_UUID_LEN] = {0xbb, 2};

#define A "x'aa010000000000000000000000000000'"
#define B "x'bb020000000000000000000000000000'"

static char path[PATH_MAX];
static struct secret *key;
static unsigned stores;

static void save(struct store *store, const uint8_t *uuid, const char *plain)
{
        struct store_put put = {
            .kind = STORE_KIND_PERMANENT,
            .plain = {(const uint8_t *)plain, strlen(plain)},
        };
        struct err err = {0};

        memcpy(put.uuid, uuid, BLOCK_UUID_LEN);
        assert_ok(store_begin(store, &err), &err);
        assert_ok(store_put_blob(store, &put, &err), &err);
        assert_ok(store_commit(store, &err), &err);
}

static void edit(const char *sql)
{
        sqlite3 *handle = NULL;
        char *words = NULL;

        assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
        if (sqlite3_exec(handle, sql, NULL, NULL, &words) != SQLITE_OK)
                fail_msg("%s: %s", sql, words);
        assert_int_equal(sqlite3_close(handle), SQLITE_OK);
}

static void create(struct store *store, const char *name, const uint8_t *uuid)
{
        struct security_block block = {.epoch = 1};
        struct err err = {0};

        memcpy(block.uuid, uuid, BLOCK_UUID_LEN);
        assert_ok(store_create_instance(store, name, &block, &err), &err);
}

static int unlock(struct store **ret_store, struct err *err)
{
        int rc = store_open(path, ret_store, err);

        return rc != 0 ? rc : store_unlock(*ret_store, key, err);
}

/* Two VMs with a configuration, a record and a save each. */
static void prepare(void)
{
        struct store *store = NULL;
        struct err err = {0};

        (void)snprintf(path, sizeof(path), "%s/attack-%u.db", test_dir(), stores++);
        assert_ok(unlock(&store, &err), &err);
        assert_ok(store_begin(store, &err), &err);
        create(store, "a", uuid_a);
        create(store, "b", uuid_b);
        assert_ok(store_put_config(store, uuid_a, (struct bytes){(const uint8_t *)"c", 1}, &err),
                  &err);
        assert_ok(store_put_record(store, "r", (struct bytes){(const uint8_t *)"1", 1}, &err),
                  &err);
        assert_ok(store_commit(store, &err), &err);
        save(store, uuid_a, "old a");
        save(store, uuid_b, "old b");
        assert_ok(store_checkpoint(store, &err), &err);
        store_close(store);
}

static void add_newer(void)
{
        struct store *store = NULL;
        struct err err = {0};

        assert_ok(unlock(&store, &err), &err);
        save(store, uuid_a, "new a");
        save(store, uuid_b, "new b");
        /* Out of the journal, which test-journal.c attacks. */
        assert_ok(store_checkpoint(store, &err), &err);
        store_close(store);
}

/* Copies the closed database, with its log, to path + suffix. */
static void copy_to(const char *suffix)
{
        static const char *const parts[] = {"", "-wal"};

        for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
                char from[PATH_MAX + 16];
                char to[PATH_MAX + 32];
                struct err err = {0};
                uint8_t *data = NULL;
                size_t len = 0;

                (void)snprintf(from, sizeof(from), "%s%s", path, parts[i]);
                (void)snprintf(to, sizeof(to), "%s%s%s", path, suffix, parts[i]);
                assert_ok(fs_read_file(from, 64U << 20, &data, &len, &err), &err);
                assert_ok(fs_write_file(to, data, len, 0600, &err), &err);
                free(data);
        }
}

/* Runs SQL on the database with the older copy attached as "old". */
static void edit_with_old(const char *sql)
{
        char text[PATH_MAX + 1024];

        (void)snprintf(text, sizeof(text), "ATTACH '%s.old' AS old; %s", path, sql);
        edit(text);
}

#define COPY_BLOBS                                                                                 \
        "UPDATE main.blobs SET sequence = (SELECT sequence FROM old.blobs o WHERE o.uuid = "       \
        "main.blobs.uuid), sealed = (SELECT sealed FROM old.blobs o WHERE o.uuid = "               \
        "main.blobs.uuid);"

/* What is done, what store_unlock() says, and if it opens what reading the state of "a" says. */
static const struct {
        const char *name, *sql;
        int unlock, get;
} rows[] = {
    {"nothing", "SELECT 1", 0, 0},
    {"R-ROLLBACK older blob row", COPY_BLOBS, 0, ERR_ROLLBACK},
    {"R-ROLLBACK older bytes, newer number",
     "UPDATE blobs SET sealed = (SELECT sealed FROM old.blobs o WHERE o.uuid = blobs.uuid)", 0,
     ERR_DAMAGED},
    {"R-ROLLBACK older blob and instance rows",
     COPY_BLOBS "UPDATE main.instances SET sequence = (SELECT sequence FROM old.instances o WHERE "
                "o.uuid = main.instances.uuid), heads = (SELECT heads FROM old.instances o WHERE "
                "o.uuid = main.instances.uuid)",
     ERR_ROLLBACK, 0},
    {"R-ROLLBACK older heads record",
     "UPDATE main.heads SET generation = (SELECT generation FROM old.heads), mac = (SELECT mac "
     "FROM old.heads)",
     ERR_ROLLBACK, 0},
    {"R-ROLLBACK older generation", "UPDATE heads SET generation = generation - 1", ERR_ROLLBACK,
     0},
    {"R-SPLICE state of b under a",
     "UPDATE blobs SET sealed = (SELECT sealed FROM blobs WHERE uuid = " B ") WHERE uuid = " A, 0,
     ERR_DAMAGED},
    {"R-SPLICE swapped security blocks",
     "UPDATE instances SET block = (SELECT block FROM old.instances o WHERE o.uuid != "
     "instances.uuid)",
     ERR_DAMAGED, 0},
    {"R-SPLICE swapped names",
     "UPDATE instances SET name = name || '2'; UPDATE instances SET name = CASE name WHEN 'a2' "
     "THEN 'b' ELSE 'a' END",
     ERR_ROLLBACK, 0},
    {"R-DOWNGRADE plaintext", "UPDATE blobs SET sealed = zeroblob(6000) WHERE uuid = " A, 0,
     ERR_DAMAGED},
    {"R-DOWNGRADE older format",
     "UPDATE blobs SET sealed = CAST(x'43535300' || substr(sealed, 5) AS BLOB) WHERE uuid = " A, 0,
     ERR_UNSUPPORTED},
    {"another kind", "UPDATE blobs SET kind = 2 WHERE uuid = " A, 0, ERR_DAMAGED},
    {"state gone", "DELETE FROM blobs", 0, ERR_DAMAGED},
    {"life cycle state changed", "UPDATE instances SET state = 2 WHERE name = 'a'", ERR_ROLLBACK,
     0},
    {"unknown state", "UPDATE instances SET state = 77", ERR_DAMAGED, 0},
    {"instance gone", "DELETE FROM blobs; DELETE FROM vms; DELETE FROM instances", ERR_ROLLBACK, 0},
    {"record changed", "UPDATE records SET value = x'32'", ERR_ROLLBACK, 0},
    {"record gone", "DELETE FROM records", ERR_ROLLBACK, 0},
    {"record added", "INSERT INTO records (name, value) VALUES ('x', x'00')", ERR_ROLLBACK, 0},
    {"heads gone", "DELETE FROM heads", ERR_ROLLBACK, 0},
    {"V-EMPTY heads empty", "UPDATE heads SET mac = x''", ERR_ROLLBACK, 0},
    {"heads short", "UPDATE instances SET heads = x'00'", ERR_DAMAGED, 0},
    {"block cut", "UPDATE instances SET block = substr(block, 1, 40)", ERR_DAMAGED, 0},
};

static void rows_that_must_not_win(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct store *store = NULL;
                struct store_blob blob = {0};
                struct err err = {0};
                int rc;

                prepare();
                copy_to(".old");
                add_newer();
                edit_with_old(rows[i].sql);
                rc = unlock(&store, &err);
                if (rc != rows[i].unlock)
                        fail_msg("%s: unlock %d: %s", rows[i].name, rc, err.text);
                if (rc == 0) {
                        rc = store_get_blob(store, uuid_a, STORE_KIND_PERMANENT, &blob, &err);
                        if (rc != rows[i].get)
                                fail_msg("%s: get %d: %s", rows[i].name, rc, err.text);
                        store_blob_free(&blob);
                }
                store_close(store);
        }
}

static void configuration_of_another_vm(void **state)
{
        struct store *store = NULL;
        struct err err = {0};
        uint8_t *data = NULL;
        size_t len = 0;

        (void)state;
        prepare();
        edit("UPDATE vms SET config = x'64'");
        assert_ok(unlock(&store, &err), &err);
        assert_int_equal(store_get_config(store, uuid_a, &data, &len, &err), ERR_DAMAGED);
        assert_null(data);
        store_close(store);
}

static void another_key_does_not_unlock(void **state)
{
        struct secret AUTO_SECRET *other = NULL;
        struct store *store = NULL;
        struct err err = {0};

        (void)state;
        prepare();
        assert_ok(secret_new_random(STORE_KEY_LEN, &other, &err), &err);
        assert_ok(store_open(path, &store, &err), &err);
        assert_int_equal(store_unlock(store, other, &err), ERR_ROLLBACK);
        assert_int_equal(store_begin(store, &err), ERR_FAILED);
        assert_ok(store_unlock(store, key, &err), &err);
        store_close(store);
}

/* Edits after which the database is not one that this program may touch. */
static const struct {
        const char *sql, *words;
} foreign[] = {
    {"PRAGMA application_id = 7", "not a store"},
    {"PRAGMA user_version = 3", "newer"},
    {"PRAGMA user_version = 0", "unknown format"},
    {"CREATE TABLE extra (x)", "schema"},
    {"CREATE TRIGGER t AFTER INSERT ON blobs BEGIN DELETE FROM instances; END", "schema"},
    {"DROP TABLE vms", "schema"},
    {"CREATE VIEW v AS SELECT 1", "schema"},
};

static void foreign_databases_are_left_alone(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(foreign); i++) {
                struct store *store = NULL;
                struct err err = {0};
                uint8_t *before = NULL;
                uint8_t *after = NULL;
                size_t len_before = 0;
                size_t len_after = 0;

                prepare();
                edit(foreign[i].sql);
                assert_ok(fs_read_file(path, 64U << 20, &before, &len_before, &err), &err);
                assert_int_equal(store_open(path, &store, &err), ERR_DAMAGED);
                assert_null(store);
                if (strstr(err.text, foreign[i].words) == NULL)
                        fail_msg("%s: %s", foreign[i].sql, err.text);
                assert_ok(fs_read_file(path, 64U << 20, &after, &len_after, &err), &err);
                assert_int_equal(len_before, len_after);
                assert_memory_equal(before, after, len_after);
                free(before);
                free(after);
        }
}

static void damaged_files_are_reported(void **state)
{
        static const char *const contents[] = {"", "hello", "SQLite format 3"};
        struct store *store = NULL;
        struct err err = {0};
        uint8_t *data = NULL;
        size_t len = 0;
        char log[PATH_MAX + 8];

        (void)state;
        prepare();
        for (size_t i = 0; i < ARRAY_SIZE(contents); i++) {
                assert_ok(fs_write_file(path, contents[i], strlen(contents[i]), 0600, &err), &err);
                assert_int_equal(store_open(path, &store, &err), ERR_DAMAGED);
        }
        /* The database gone and its log left: not a reason to start afresh. */
        assert_int_equal(unlink(path), 0);
        assert_int_equal(store_open(path, &store, &err), ERR_DAMAGED);
        assert_non_null(strstr(err.text, "missing"));
        prepare();
        assert_ok(fs_read_file(path, 64U << 20, &data, &len, &err), &err);
        assert_ok(fs_write_file(path, data, len / 2, 0600, &err), &err);
        (void)snprintf(log, sizeof(log), "%s-wal", path);
        assert_int_equal(unlink(log), 0);
        assert_int_equal(store_open(path, &store, &err), ERR_DAMAGED);
        assert_null(store);
        free(data);
}

static int setup(void **state)
{
        struct err err = {0};

        (void)state;
        assert_ok(secret_new_random(STORE_KEY_LEN, &key, &err), &err);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        secret_free(key);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(rows_that_must_not_win),
            cmocka_unit_test(configuration_of_another_vm),
            cmocka_unit_test(another_key_does_not_unlock),
            cmocka_unit_test(foreign_databases_are_left_alone),
            cmocka_unit_test(damaged_files_are_reported),
        };
        return cmocka_run_group_tests_name("store-attacks", tests, setup, teardown);
}
