/*
 * The journal of saves: what it keeps over a crash, what ends it, and what somebody with write
 * access to it tries.
 */
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/fs.h"
#include "base/writer.h"
#include "lib/test.h"
#include "store/journal.h"
#include "store/overlay.h"
#include "store/store.h"

#define STATE_LEN  5000 /* a record of two blocks */
#define RECORD_LEN ((size_t)2 * JOURNAL_BLOCK)

static char path[PATH_MAX];
static struct secret *key;
static unsigned stores;

static const char *file(const char *suffix)
{
        static char name[PATH_MAX + 16];

        (void)snprintf(name, sizeof(name), "%s%s", path, suffix);
        return name;
}

static void read_file(const char *name, uint8_t **ret_data, size_t *ret_len)
{
        struct err err = {0};

        assert_ok(fs_read_file(name, 64U << 20, ret_data, ret_len, &err), &err);
}

static void write_file(const char *name, const uint8_t *data, size_t len)
{
        struct err err = {0};

        assert_ok(fs_write_file(name, data, len, 0600, &err), &err);
}

static int try_open(struct store **ret_store, struct err *err)
{
        int rc = store_open(path, ret_store, err);

        if (rc == 0 && (rc = store_unlock(*ret_store, key, err)) != 0) {
                store_close(*ret_store);
                *ret_store = NULL;
        }
        return rc;
}

static struct store *open_store(void)
{
        struct store *store = NULL;
        struct err err = {0};

        assert_ok(try_open(&store, &err), &err);
        return store;
}

static void uuid_of(unsigned vm, uint8_t *ret_uuid)
{
        memset(ret_uuid, 0, BLOCK_UUID_LEN);
        ret_uuid[0] = 0xc0;
        ret_uuid[14] = (uint8_t)(vm >> 8);
        ret_uuid[15] = (uint8_t)vm;
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

static void create(struct store *store, unsigned vm)
{
        struct security_block block = {.epoch = 1};
        struct err err = {0};
        char name[16];

        (void)snprintf(name, sizeof(name), "vm%u", vm);
        uuid_of(vm, block.uuid);
        assert_ok(store_create_instance(store, name, &block, &err), &err);
}

static void put_kind(struct store *store, unsigned vm, enum store_kind kind, unsigned number)
{
        static uint8_t plain[STATE_LEN];
        struct store_put request = {.kind = kind, .plain = {plain, sizeof(plain)}};
        struct err err = {0};

        memcpy(plain, &number, sizeof(number));
        uuid_of(vm, request.uuid);
        assert_ok(store_put_blob(store, &request, &err), &err);
}

static void put(struct store *store, unsigned vm, unsigned number)
{
        put_kind(store, vm, STORE_KIND_PERMANENT, number);
}

static void save(struct store *store, unsigned vm, unsigned number)
{
        begin(store);
        put(store, vm, number);
        commit(store);
}

static unsigned get_kind(struct store *store, unsigned vm, enum store_kind kind)
{
        struct store_blob blob = {0};
        uint8_t uuid[BLOCK_UUID_LEN];
        struct err err = {0};
        unsigned number = 0;

        uuid_of(vm, uuid);
        assert_ok(store_get_blob(store, uuid, kind, &blob, &err), &err);
        assert_int_equal(blob.len, STATE_LEN);
        memcpy(&number, blob.data, sizeof(number));
        store_blob_free(&blob);
        return number;
}

static unsigned get(struct store *store, unsigned vm)
{
        return get_kind(store, vm, STORE_KIND_PERMANENT);
}

/* A store with two VMs in the database and nothing in the journal. */
static struct store *prepare(void)
{
        struct store *store;

        (void)snprintf(path, sizeof(path), "%s/journal-%u.db", test_dir(), stores++);
        store = open_store();
        begin(store);
        create(store, 1);
        create(store, 2);
        put(store, 1, 10);
        put(store, 2, 20);
        commit(store);
        return store;
}

/* How many records the file has for this store, and where the last of them begins. */
static unsigned count_records(uint64_t after, size_t *ret_last)
{
        uint8_t AUTO_FREE *data = NULL;
        struct journal_record record;
        struct err err = {0};
        size_t len = 0;
        size_t at = 0;
        unsigned n = 0;

        read_file(file(JOURNAL_SUFFIX), &data, &len);
        assert_int_equal(len, JOURNAL_LEN);
        while (journal_record_parse((struct bytes){data + at, len - at}, &record, &err) == 0 &&
               record.generation > after) {
                *ret_last = at;
                at += record.blocks * JOURNAL_BLOCK;
                n++;
        }
        return n;
}

static void keeps_saves_without_the_database(void **state)
{
        uint8_t AUTO_FREE *before = NULL;
        uint8_t AUTO_FREE *after = NULL;
        struct store_instance instance;
        struct store *store = prepare();
        struct err err = {0};
        size_t len_before = 0;
        size_t len_after = 0;
        size_t last = 0;

        (void)state;
        read_file(file("-wal"), &before, &len_before);
        save(store, 1, 11);
        save(store, 1, 12);
        begin(store);
        put(store, 1, 13);
        put(store, 2, 23);
        put_kind(store, 2, STORE_KIND_VOLATILE, 99);
        put(store, 2, 24);
        commit(store);
        assert_int_equal(store_generation(store), 4);
        read_file(file("-wal"), &after, &len_after);
        assert_int_equal(len_before, len_after);
        assert_memory_equal(before, after, len_after);
        assert_int_equal(count_records(1, &last), 3);
        store_close(store);

        store = open_store();
        assert_int_equal(store_generation(store), 4);
        assert_int_equal(get(store, 1), 13);
        assert_int_equal(get(store, 2), 24);
        assert_int_equal(get_kind(store, 2, STORE_KIND_VOLATILE), 99);
        /* Lists show it too. */
        assert_ok(store_next_instance(store, "vm1", &instance, &err), &err);
        assert_string_equal(instance.name, "vm2");
        assert_int_equal(instance.sequence, 4);
        assert_ok(store_find_instance(store, "vm1", &instance, &err), &err);
        assert_int_equal(instance.sequence, 4);
        save(store, 2, 25);
        store_close(store);
        store = open_store();
        assert_int_equal(get(store, 2), 25);
        store_close(store);
}

static void other_changes_fold_it(void **state)
{
        struct store *store = prepare();
        struct err err = {0};
        size_t last = 0;

        (void)state;
        save(store, 1, 11);
        save(store, 2, 21);
        /* Saves, something else, and saves again in one transaction. */
        begin(store);
        put(store, 1, 12);
        assert_ok(store_put_record(store, "r", (struct bytes){(const uint8_t *)"v", 1}, &err),
                  &err);
        assert_int_equal(get(store, 1), 12);
        put(store, 1, 13);
        put(store, 2, 22);
        assert_int_equal(get(store, 1), 13);
        commit(store);
        assert_int_equal(count_records(store_generation(store), &last), 0);
        assert_int_equal(get(store, 1), 13);
        save(store, 1, 14);
        assert_int_equal(count_records(store_generation(store) - 1, &last), 1);
        assert_int_equal(last, 0);
        store_close(store);
        store = open_store();
        assert_int_equal(get(store, 1), 14);
        assert_int_equal(get(store, 2), 22);
        store_close(store);
}

static void rolls_back_to_what_the_journal_has(void **state)
{
        struct store *store = prepare();
        struct err err = {0};

        (void)state;
        save(store, 1, 11);
        begin(store);
        put(store, 1, 12);
        put_kind(store, 1, STORE_KIND_VOLATILE, 5);
        store_rollback(store);
        assert_int_equal(get(store, 1), 11);
        begin(store);
        put(store, 1, 13);
        assert_ok(store_put_record(store, "r", (struct bytes){(const uint8_t *)"v", 1}, &err),
                  &err);
        put(store, 2, 23);
        store_rollback(store);
        assert_int_equal(get(store, 1), 11);
        assert_int_equal(get(store, 2), 20);
        save(store, 2, 21);
        store_close(store);
        store = open_store();
        assert_int_equal(get(store, 1), 11);
        assert_int_equal(get(store, 2), 21);
        store_close(store);
}

static void is_folded_when_it_fills(void **state)
{
        struct store *store = prepare();
        const unsigned n = JOURNAL_LEN / RECORD_LEN;
        struct err err = {0};
        size_t last = 0;

        (void)state;
        /* Nobody asks for a checkpoint: the commit that does not fit goes to the database. */
        for (unsigned i = 1; i <= n + 3; i++)
                save(store, 1, i);
        assert_true(count_records(n, &last) < 4);
        for (unsigned i = 0; !store_wants_checkpoint(store); i++) {
                assert_true(i < n);
                save(store, 2, i);
        }
        assert_ok(store_checkpoint(store, &err), &err);
        assert_false(store_wants_checkpoint(store));
        assert_int_equal(count_records(store_generation(store), &last), 0);
        store_close(store);
        store = open_store();
        assert_int_equal(get(store, 1), n + 3);
        store_close(store);
}

static void takes_more_vms_than_the_overlay(void **state)
{
        struct store *store = prepare();

        (void)state;
        begin(store);
        for (unsigned vm = 3; vm < OVERLAY_ENTRIES_MAX + 20; vm++)
                create(store, vm);
        commit(store);
        for (unsigned vm = 1; vm < OVERLAY_ENTRIES_MAX + 20; vm++) {
                begin(store);
                put(store, vm, vm);
                put(store, 1, vm);
                commit(store);
        }
        store_close(store);
        store = open_store();
        assert_int_equal(get(store, 1), OVERLAY_ENTRIES_MAX + 19);
        for (unsigned vm = 2; vm < OVERLAY_ENTRIES_MAX + 20; vm++)
                assert_int_equal(get(store, vm), vm);
        store_close(store);
}

static void large_saves_go_to_the_database(void **state)
{
        uint8_t AUTO_FREE *plain = calloc(1, JOURNAL_RECORD_MAX);
        struct store_put request = {
            .kind = STORE_KIND_UEFI_VARS,
            .plain = {plain, JOURNAL_RECORD_MAX},
        };
        struct store *store = prepare();
        struct store_blob blob = {0};
        struct err err = {0};
        size_t last = 0;

        (void)state;
        assert_non_null(plain);
        uuid_of(1, request.uuid);
        begin(store);
        put(store, 1, 11);
        assert_ok(store_put_blob(store, &request, &err), &err);
        commit(store);
        assert_int_equal(count_records(1, &last), 0);
        store_close(store);
        store = open_store();
        assert_int_equal(get(store, 1), 11);
        assert_ok(store_get_blob(store, request.uuid, STORE_KIND_UEFI_VARS, &blob, &err), &err);
        assert_int_equal(blob.len, JOURNAL_RECORD_MAX);
        store_blob_free(&blob);
        store_close(store);
}

/* --- what a crash or somebody else leaves -------------------------------------------------------
 */

/* V-TORN: the last record with any one of its blocks not written, or cut anywhere. */
static void a_torn_record_was_never_acknowledged(void **state)
{
        uint8_t AUTO_FREE *whole = NULL;
        struct store *store = prepare();
        size_t last = 0;
        size_t len = 0;

        (void)state;
        save(store, 1, 11);
        save(store, 1, 12);
        assert_int_equal(count_records(1, &last), 2);
        store_close(store);
        read_file(file(JOURNAL_SUFFIX), &whole, &len);
        for (size_t cut = 0; cut < RECORD_LEN; cut += cut < 64 ? 1 : 509) {
                uint8_t AUTO_FREE *torn = malloc(len);

                assert_non_null(torn);
                memcpy(torn, whole, len);
                memset(torn + last + cut, 0, JOURNAL_BLOCK);
                write_file(file(JOURNAL_SUFFIX), torn, len);
                store = open_store();
                assert_int_equal(get(store, 1), cut > STATE_LEN + 300 ? 12 : 11);
                /* The next one takes its place. */
                save(store, 2, 22);
                store_close(store);
                store = open_store();
                assert_int_equal(get(store, 2), 22);
                store_close(store);
                /* back to where the database has neither */
                write_file(file(JOURNAL_SUFFIX), whole, len);
        }
}

struct journal_attack {
        const char *name;
        int rc;
        unsigned value; /* of VM 1, if it opens */
        void (*change)(uint8_t *data, size_t second, size_t third);
};

static void flip_first(uint8_t *data, size_t second, size_t third)
{
        (void)second;
        (void)third;
        data[100] ^= 1;
}

static void flip_second(uint8_t *data, size_t second, size_t third)
{
        (void)third;
        data[second + 4200] ^= 1;
}

static void flip_last(uint8_t *data, size_t second, size_t third)
{
        (void)second;
        data[third + 100] ^= 1;
}

static void skip_second(uint8_t *data, size_t second, size_t third)
{
        memmove(data + second, data + third, RECORD_LEN);
        memset(data + third, 0, RECORD_LEN);
}

static void swap_records(uint8_t *data, size_t second, size_t third)
{
        for (size_t i = 0; i < RECORD_LEN; i++) {
                uint8_t byte = data[second + i];

                data[second + i] = data[third + i];
                data[third + i] = byte;
        }
}

static void repeat_first(uint8_t *data, size_t second, size_t third)
{
        (void)third;
        memcpy(data + second, data, RECORD_LEN);
}

static void newer_format(uint8_t *data, size_t second, size_t third)
{
        (void)second;
        (void)third;
        data[3]++;
}

static void cut_tail(uint8_t *data, size_t second, size_t third)
{
        (void)second;
        memset(data + third, 0, RECORD_LEN);
}

static const struct journal_attack attacks[] = {
    {"first record damaged", ERR_DAMAGED, 0, flip_first},
    {"second record damaged", ERR_DAMAGED, 0, flip_second},
    {"last record damaged: as if never acknowledged", 0, 12, flip_last},
    {"R-ROLLBACK a record left out", ERR_DAMAGED, 0, skip_second},
    {"M-REPLAY records exchanged", ERR_DAMAGED, 0, swap_records},
    {"M-REPLAY a record twice", ERR_DAMAGED, 0, repeat_first},
    {"R-DOWNGRADE newer format", ERR_UNSUPPORTED, 0, newer_format},
    /* Not seen here, like a whole older database: that takes anchors (store.h). */
    {"the newest record cut off", 0, 12, cut_tail},
};

static void records_that_must_not_win(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(attacks); i++) {
                uint8_t AUTO_FREE *data = NULL;
                struct store *store = prepare();
                struct err err = {0};
                size_t len = 0;
                int rc;

                for (unsigned n = 11; n <= 13; n++)
                        save(store, 1, n);
                store_close(store);
                read_file(file(JOURNAL_SUFFIX), &data, &len);
                attacks[i].change(data, RECORD_LEN, 2 * RECORD_LEN);
                write_file(file(JOURNAL_SUFFIX), data, len);
                rc = try_open(&store, &err);
                if (rc != attacks[i].rc)
                        fail_msg("%s: %d: %s", attacks[i].name, rc, err.text);
                if (rc != 0)
                        continue;
                if (get(store, 1) != attacks[i].value)
                        fail_msg("%s: found %u", attacks[i].name, get(store, 1));
                store_close(store);
        }
}

/* R-SPLICE: another store's journal, of the same key and of the same generations. */
static void a_journal_of_another_store_is_not_played(void **state)
{
        uint8_t AUTO_FREE *data = NULL;
        struct store *store = prepare();
        size_t len = 0;

        (void)state;
        save(store, 1, 66);
        store_close(store);
        read_file(file(JOURNAL_SUFFIX), &data, &len);
        store = prepare();
        store_close(store);
        write_file(file(JOURNAL_SUFFIX), data, len);
        store = open_store();
        assert_int_equal(get(store, 1), 10);
        store_close(store);
}

static void missing_or_strange_files(void **state)
{
        static const uint8_t byte[1] = {1};
        uint8_t AUTO_FREE *data = NULL;
        struct store *store = prepare();
        struct err err = {0};
        size_t len = 0;

        (void)state;
        save(store, 1, 11);
        store_close(store);
        read_file(file(JOURNAL_SUFFIX), &data, &len);
        assert_int_equal(unlink(file(JOURNAL_SUFFIX)), 0);
        assert_int_equal(try_open(&store, &err), ERR_DAMAGED);
        assert_non_null(strstr(err.text, "missing"));
        write_file(file(JOURNAL_SUFFIX), byte, sizeof(byte));
        assert_int_equal(try_open(&store, &err), ERR_DAMAGED);
        /* The database gone and its journal left: not a reason to start afresh. */
        write_file(file(JOURNAL_SUFFIX), data, len);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(unlink(file("-wal")), 0);
        assert_int_equal(try_open(&store, &err), ERR_DAMAGED);
        assert_non_null(strstr(err.text, "database is missing"));
        /* A crash before the very first database was there leaves zeros, and not all of them. */
        memset(data, 0, len);
        write_file(file(JOURNAL_SUFFIX), data, len / 3);
        store = open_store();
        store_close(store);
}

static void an_older_format_gets_a_journal(void **state)
{
        struct store *store = prepare();
        sqlite3 *handle = NULL;
        struct err err = {0};

        (void)state;
        store_close(store);
        assert_int_equal(unlink(file(JOURNAL_SUFFIX)), 0);
        assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
        assert_int_equal(sqlite3_exec(handle, "PRAGMA user_version = 1", NULL, NULL, NULL),
                         SQLITE_OK);
        assert_int_equal(sqlite3_close(handle), SQLITE_OK);
        store = open_store();
        assert_int_equal(get(store, 1), 10);
        save(store, 1, 11);
        store_close(store);
        store = open_store();
        assert_int_equal(get(store, 1), 11);
        store_close(store);
        assert_int_equal(unlink(file(JOURNAL_SUFFIX)), 0);
        assert_int_equal(try_open(&store, &err), ERR_DAMAGED);
}

/* Crypto-erase: the wrapped keys of a deleted VM are nowhere in the file. */
static void deletion_scrubs_it(void **state)
{
        uint8_t AUTO_FREE *data = NULL;
        uint8_t uuid[BLOCK_UUID_LEN];
        struct store *store = prepare();
        struct err err = {0};
        size_t len = 0;

        (void)state;
        save(store, 1, 11);
        save(store, 2, 21);
        uuid_of(1, uuid);
        begin(store);
        assert_ok(store_delete_instance(store, uuid, &err), &err);
        commit(store);
        assert_true(store_wants_checkpoint(store));
        assert_ok(store_checkpoint(store, &err), &err);
        read_file(file(JOURNAL_SUFFIX), &data, &len);
        for (size_t i = 0; i < len; i++)
                if (data[i] != 0)
                        fail_msg("byte %zu is left", i);
        store_close(store);
        store = open_store();
        assert_int_equal(get(store, 2), 21);
        store_close(store);
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
            cmocka_unit_test(keeps_saves_without_the_database),
            cmocka_unit_test(other_changes_fold_it),
            cmocka_unit_test(rolls_back_to_what_the_journal_has),
            cmocka_unit_test(is_folded_when_it_fills),
            cmocka_unit_test(takes_more_vms_than_the_overlay),
            cmocka_unit_test(large_saves_go_to_the_database),
            cmocka_unit_test(a_torn_record_was_never_acknowledged),
            cmocka_unit_test(records_that_must_not_win),
            cmocka_unit_test(a_journal_of_another_store_is_not_played),
            cmocka_unit_test(missing_or_strange_files),
            cmocka_unit_test(an_older_format_gets_a_journal),
            cmocka_unit_test(deletion_scrubs_it),
        };

        if (access("/dev/shm", W_OK) == 0)
                (void)setenv("TMPDIR", "/dev/shm", 0);
        return cmocka_run_group_tests_name("store-journal", tests, setup, teardown);
}
