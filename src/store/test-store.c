#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "lib/test.h"
#include "store/store.h"

static const uint8_t uuid_a[BLOCK_UUID_LEN] = {0xaa, 1};
static const uint8_t uuid_b[BLOCK_UUID_LEN] = {0xbb, 2};

static char path[PATH_MAX];
static struct secret *key;
static unsigned stores;

static struct bytes text(const char *s)
{
        return (struct bytes){(const uint8_t *)s, strlen(s)};
}

/* Every test has a database of its own; reopen() is given the path it used. */
static void new_path(void)
{
        (void)snprintf(path, sizeof(path), "%s/store-%u.db", test_dir(), stores++);
}

static struct store *reopen(void)
{
        struct err err = {0};
        struct store *store = NULL;

        assert_ok(store_open(path, &store, &err), &err);
        assert_ok(store_unlock(store, key, &err), &err);
        return store;
}

static void create(struct store *store, const char *name, const uint8_t *uuid)
{
        struct security_block block = {
            .epoch = 1, .created = 1700000000, .engine = "libtpms 0.9.2"};
        struct err err = {0};

        memcpy(block.uuid, uuid, BLOCK_UUID_LEN);
        assert_ok(store_create_instance(store, name, &block, &err), &err);
}

static void put(struct store *store, const uint8_t *uuid, const char *plain)
{
        struct store_put request = {.kind = STORE_KIND_PERMANENT, .plain = text(plain)};
        struct err err = {0};

        memcpy(request.uuid, uuid, BLOCK_UUID_LEN);
        assert_ok(store_put_blob(store, &request, &err), &err);
}

static void expect(struct store *store, const uint8_t *uuid, const char *plain)
{
        struct store_blob blob = {0};
        struct err err = {0};

        assert_ok(store_get_blob(store, uuid, STORE_KIND_PERMANENT, &blob, &err), &err);
        assert_int_equal(blob.len, strlen(plain));
        assert_memory_equal(blob.data, plain, blob.len);
        store_blob_free(&blob);
        assert_null(blob.data);
}

static void begin(struct store *store)
{
        struct err err = {0};

        assert_ok(store_begin(store, &err), &err);
}

static void commit(struct store *store)
{
        struct err err = {0};

        assert_ok(store_commit(store, &err), &err);
}

static void keeps_what_was_committed(void **state)
{
        struct store *store;
        struct store_instance instance;
        struct err err = {0};
        uint8_t *data = NULL;
        size_t len = 0;
        struct stat st;

        (void)state;
        new_path();
        store = reopen();
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        begin(store);
        assert_ok(store_put_record(store, "host-name", text("host-a"), &err), &err);
        create(store, "web1", uuid_a);
        create(store, "db1", uuid_b);
        assert_ok(store_put_config(store, uuid_a, text("memory=512"), &err), &err);
        put(store, uuid_a, "one");
        put(store, uuid_a, "two");
        commit(store);
        expect(store, uuid_a, "two");
        store_close(store);

        store = reopen();
        assert_int_equal(store_generation(store), 1);
        expect(store, uuid_a, "two");
        assert_ok(store_get_record(store, "host-name", &data, &len, &err), &err);
        assert_string_equal((char *)data, "host-a");
        free(data);
        assert_ok(store_get_config(store, uuid_a, &data, &len, &err), &err);
        assert_string_equal((char *)data, "memory=512");
        free(data);
        assert_ok(store_find_instance(store, "web1", &instance, &err), &err);
        assert_int_equal(instance.sequence, 2);
        assert_int_equal(instance.block.epoch, 1);
        assert_string_equal(instance.block.engine, "libtpms 0.9.2");
        assert_ok(store_next_instance(store, "", &instance, &err), &err);
        assert_string_equal(instance.name, "db1");
        assert_ok(store_next_instance(store, "db1", &instance, &err), &err);
        assert_string_equal(instance.name, "web1");
        assert_int_equal(store_next_instance(store, "web1", &instance, &err), ERR_NOT_FOUND);
        store_close(store);
}

static void rolls_back(void **state)
{
        struct store *store;
        struct store_instance instance;
        struct err err = {0};
        uint8_t *data = NULL;
        size_t len = 0;

        (void)state;
        new_path();
        store = reopen();
        begin(store);
        create(store, "web1", uuid_a);
        put(store, uuid_a, "kept");
        commit(store);
        begin(store);
        put(store, uuid_a, "lost");
        create(store, "db1", uuid_b);
        assert_ok(store_put_record(store, "r", text("v"), &err), &err);
        store_rollback(store);
        expect(store, uuid_a, "kept");
        assert_int_equal(store_find_instance(store, "db1", &instance, &err), ERR_NOT_FOUND);
        assert_int_equal(store_get_record(store, "r", &data, &len, &err), ERR_NOT_FOUND);
        begin(store);
        put(store, uuid_a, "newer");
        commit(store);
        begin(store);
        put(store, uuid_a, "closed before commit");
        store_close(store);
        store = reopen();
        expect(store, uuid_a, "newer");
        store_close(store);
}

/* The row that was read last is remembered, but never beyond what changes it. */
static void reads_what_is_there_now(void **state)
{
        struct store *store;
        struct store_blob blob = {0};
        struct err err = {0};

        (void)state;
        new_path();
        store = reopen();
        begin(store);
        create(store, "web1", uuid_a);
        create(store, "db1", uuid_b);
        put(store, uuid_a, "one");
        put(store, uuid_b, "other");
        commit(store);
        /* In the database: a configuration does not fit the journal. */
        expect(store, uuid_a, "one");
        begin(store);
        assert_ok(store_put_config(store, uuid_a, text("memory=512"), &err), &err);
        expect(store, uuid_a, "one");
        put(store, uuid_a, "two");
        expect(store, uuid_a, "two");
        store_rollback(store);
        expect(store, uuid_a, "one");
        /* In the journal. */
        begin(store);
        put(store, uuid_a, "three");
        expect(store, uuid_a, "three");
        store_rollback(store);
        expect(store, uuid_a, "one");
        expect(store, uuid_b, "other");
        begin(store);
        put(store, uuid_a, "four");
        commit(store);
        expect(store, uuid_a, "four");
        /* Moved to the database by the next other change. */
        begin(store);
        assert_ok(store_put_config(store, uuid_b, text("memory=1024"), &err), &err);
        commit(store);
        expect(store, uuid_a, "four");
        begin(store);
        assert_ok(store_delete_instance(store, uuid_a, &err), &err);
        assert_int_equal(store_get_blob(store, uuid_a, STORE_KIND_PERMANENT, &blob, &err),
                         ERR_NOT_FOUND);
        create(store, "web1", uuid_a);
        assert_int_equal(store_get_blob(store, uuid_a, STORE_KIND_PERMANENT, &blob, &err),
                         ERR_NOT_FOUND);
        put(store, uuid_a, "five");
        commit(store);
        expect(store, uuid_a, "five");
        store_close(store);
}

static void new_configuration_keeps_state(void **state)
{
        struct store *store;
        struct store_put vars = {.kind = STORE_KIND_UEFI_VARS, .plain = text("vars")};
        struct store_instance before, after;
        struct err err = {0};
        struct store_blob blob = {0};

        (void)state;
        new_path();
        store = reopen();
        begin(store);
        create(store, "web1", uuid_a);
        put(store, uuid_a, "state");
        memcpy(vars.uuid, uuid_a, BLOCK_UUID_LEN);
        assert_ok(store_put_blob(store, &vars, &err), &err);
        assert_ok(store_get_instance(store, uuid_a, &before, &err), &err);
        assert_ok(store_put_config(store, uuid_a, text("cpus=2"), &err), &err);
        assert_ok(store_get_instance(store, uuid_a, &after, &err), &err);
        commit(store);
        assert_memory_not_equal(before.block.config_digest, after.block.config_digest, 32);
        store_close(store);
        store = reopen();
        expect(store, uuid_a, "state");
        assert_ok(store_get_blob(store, uuid_a, STORE_KIND_UEFI_VARS, &blob, &err), &err);
        assert_int_equal(blob.len, 4);
        assert_int_equal(blob.sequence, 4);
        store_blob_free(&blob);
        store_close(store);
}

static void deletes(void **state)
{
        struct store *store;
        struct store_blob blob = {0};
        struct err err = {0};
        uint8_t *data = NULL;
        size_t len = 0;

        (void)state;
        new_path();
        store = reopen();
        begin(store);
        create(store, "web1", uuid_a);
        assert_ok(store_put_config(store, uuid_a, text("c"), &err), &err);
        assert_ok(store_put_record(store, "gone", text("a-record-to-forget"), &err), &err);
        put(store, uuid_a, "state");
        commit(store);
        assert_false(store_wants_checkpoint(store));
        begin(store);
        assert_ok(store_delete_instance(store, uuid_a, &err), &err);
        assert_ok(store_delete_record(store, "gone", &err), &err);
        assert_int_equal(store_delete_record(store, "gone", &err), ERR_NOT_FOUND);
        commit(store);
        assert_int_equal(store_get_blob(store, uuid_a, STORE_KIND_PERMANENT, &blob, &err),
                         ERR_NOT_FOUND);
        assert_int_equal(store_get_config(store, uuid_a, &data, &len, &err), ERR_NOT_FOUND);
        assert_true(store_wants_checkpoint(store));
        assert_ok(store_checkpoint(store, &err), &err);
        assert_false(store_wants_checkpoint(store));
        begin(store);
        create(store, "web1", uuid_a);
        put(store, uuid_a, "new life");
        commit(store);
        store_close(store);
        store = reopen();
        expect(store, uuid_a, "new life");
        store_close(store);
}

/* Nothing of a deleted record is left in either file. */
static void deletion_leaves_no_trace(void **state)
{
        static const char *const suffixes[] = {"", "-wal"};
        static const char secret[] = "needle-in-the-haystack";
        struct store *store;
        struct err err = {0};

        (void)state;
        new_path();
        store = reopen();
        begin(store);
        assert_ok(store_put_record(store, "gone", text(secret), &err), &err);
        commit(store);
        begin(store);
        assert_ok(store_delete_record(store, "gone", &err), &err);
        commit(store);
        assert_ok(store_checkpoint(store, &err), &err);
        store_close(store);
        for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
                char file[PATH_MAX + 8];
                uint8_t *data = NULL;
                size_t len = 0;

                (void)snprintf(file, sizeof(file), "%s%s", path, suffixes[i]);
                assert_ok(fs_read_file(file, 64U << 20, &data, &len, &err), &err);
                assert_null(memmem(data, len, secret, sizeof(secret) - 1));
                free(data);
        }
        store_close(reopen());
}

static void refuses_misuse(void **state)
{
        static const char *const bad_names[] = {
            "",         "A",
            "a b",      "../x",
            "a\nb",     "a/b",
            "\xc3\xa9", "0123456789012345678901234567890123456789012345678901234567890123"};
        struct security_block block = {.epoch = 1, .uuid = {1}};
        struct store_put request = {.kind = STORE_KIND_COUNT, .plain = text("x")};
        struct store *store;
        struct err err = {0};

        (void)state;
        new_path();
        assert_ok(store_open(path, &store, &err), &err);
        assert_int_equal(store_begin(store, &err), ERR_FAILED);
        assert_ok(store_unlock(store, key, &err), &err);
        assert_int_equal(store_create_instance(store, "a", &block, &err), ERR_FAILED);
        assert_int_equal(store_commit(store, &err), ERR_FAILED);
        begin(store);
        assert_int_equal(store_begin(store, &err), ERR_FAILED);
        /* E-UUID-INJ */
        for (size_t i = 0; i < ARRAY_SIZE(bad_names); i++) {
                assert_int_equal(store_create_instance(store, bad_names[i], &block, &err),
                                 ERR_USAGE);
                assert_int_equal(store_put_record(store, bad_names[i], text("v"), &err), ERR_USAGE);
        }
        create(store, "web1", uuid_a);
        put(store, uuid_a, "state");
        /* E-DUP-UUID; the failure must not cost what the transaction holds already. */
        assert_int_equal(store_create_instance(store, "web1", &block, &err), ERR_CONFLICT);
        memcpy(block.uuid, uuid_a, BLOCK_UUID_LEN);
        assert_int_equal(store_create_instance(store, "web2", &block, &err), ERR_CONFLICT);
        memcpy(request.uuid, uuid_a, BLOCK_UUID_LEN);
        assert_int_equal(store_put_blob(store, &request, &err), ERR_USAGE);
        request.kind = STORE_KIND_PERMANENT;
        request.plain.len = STORE_BLOB_MAX + 1;
        assert_int_equal(store_put_blob(store, &request, &err), ERR_LIMIT);
        memcpy(request.uuid, uuid_b, BLOCK_UUID_LEN);
        request.plain.len = 1;
        assert_int_equal(store_put_blob(store, &request, &err), ERR_NOT_FOUND);
        assert_ok(store_update_instance(store, STORE_STATE_INITIALISED, &block, &err), &err);
        assert_int_equal(store_update_instance(store, STORE_STATE_CREATED, &block, &err),
                         ERR_CONFLICT);
        block.epoch = 2;
        assert_int_equal(store_update_instance(store, STORE_STATE_INITIALISED, &block, &err),
                         ERR_USAGE);
        commit(store);
        expect(store, uuid_a, "state");
        store_close(store);
        store = reopen();
        expect(store, uuid_a, "state");
        store_close(store);
}

static void second_opener_is_refused(void **state)
{
        struct store *store;
        struct store *second = NULL;
        struct err err = {0};

        (void)state;
        new_path();
        store = reopen();
        begin(store);
        create(store, "web1", uuid_a);
        commit(store);
        assert_int_equal(store_open(path, &second, &err), ERR_CONFLICT);
        assert_null(second);
        store_close(store);
        store_close(reopen());
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
            cmocka_unit_test(keeps_what_was_committed),
            cmocka_unit_test(rolls_back),
            cmocka_unit_test(new_configuration_keeps_state),
            cmocka_unit_test(deletes),
            cmocka_unit_test(deletion_leaves_no_trace),
            cmocka_unit_test(refuses_misuse),
            cmocka_unit_test(second_opener_is_refused),
            cmocka_unit_test(reads_what_is_there_now),
        };
        return cmocka_run_group_tests_name("store", tests, setup, teardown);
}
