/* The token of a saved VM: used once, bound to one vTPM, and the state comes back whole. */
#include "base/fs.h"
#include "lib/test.h"
#include "tcb/snapshot.h"

static struct store *store;
static const uint8_t one[16] = {1};
static const uint8_t two[16] = {2};

static void open_store(void)
{
        static const uint8_t key[STORE_KEY_LEN] = {7};
        struct secret AUTO_SECRET *secret = NULL;
        char path[512];
        struct err err = {0};

        assert_ok(fs_join(path, sizeof(path), test_dir(), "tcb.db", &err), &err);
        assert_ok(store_open(path, &store, &err), &err);
        assert_ok(secret_new_copy(key, sizeof(key), &secret, &err), &err);
        assert_ok(store_unlock(store, secret, &err), &err);
}

static void begin(void)
{
        struct err err = {0};

        assert_ok(store_begin(store, &err), &err);
}

static void commit(void)
{
        struct err err = {0};

        assert_ok(store_commit(store, &err), &err);
}

static int set_up(void **state)
{
        struct err err = {0};
        struct security_block block = {.uuid = {1}, .epoch = 1};

        (void)state;
        open_store();
        begin();
        assert_ok(store_create_instance(store, "one", &block, &err), &err);
        block.uuid[0] = 2;
        assert_ok(store_create_instance(store, "two", &block, &err), &err);
        commit();
        return 0;
}

static void check(const uint8_t uuid[16], const uint8_t *token, size_t len, int expected)
{
        struct snapshot snapshot;
        struct err err = {0};

        assert_ok(snapshot_load(store, uuid, &snapshot, &err), &err);
        assert_int_equal(snapshot_check_token(&snapshot, (struct bytes){token, len}, &err),
                         expected);
}

static void expect_state(const char *words)
{
        struct store_blob blob;
        struct err err = {0};

        assert_ok(snapshot_get(store, one, &blob, &err), &err);
        assert_true(bytes_equal((struct bytes){blob.data, blob.len}, wire_text(words)));
        store_blob_free(&blob);
}

static void save(const char *words, uint8_t ret_token[ENGINE_TOKEN_SIZE])
{
        struct snapshot snapshot;
        struct err err = {0};

        begin();
        assert_ok(snapshot_put(store, one, wire_text(words), ret_token, &snapshot, &err), &err);
        commit();
        assert_true(snapshot.exists);
}

static void one_token_opens_one_state_once(void **state)
{
        uint8_t first[ENGINE_TOKEN_SIZE];
        uint8_t second[ENGINE_TOKEN_SIZE];
        struct err err = {0};

        (void)state;
        memset(first, 0x5a, sizeof(first));
        check(one, first, sizeof(first), ERR_MALFORMED);
        save("volatile", first);
        check(one, first, sizeof(first), 0);
        check(two, first, sizeof(first), ERR_ROLLBACK);
        expect_state("volatile");
        store_close(store);
        open_store();
        check(one, first, sizeof(first), 0);
        /* A later save takes the place of the first one. */
        save("", second);
        check(one, first, sizeof(first), ERR_ROLLBACK);
        check(one, second, sizeof(second), 0);
        expect_state("");
        begin();
        assert_ok(snapshot_drop(store, one, &err), &err);
        commit();
        check(one, second, sizeof(second), ERR_ROLLBACK);
}

static void what_is_no_token_is_told_apart(void **state)
{
        uint8_t token[ENGINE_TOKEN_SIZE + 1] = {0};

        (void)state;
        save("volatile", token);
        check(one, token, ENGINE_TOKEN_SIZE - 1, ERR_MALFORMED);
        check(one, token, ENGINE_TOKEN_SIZE + 1, ERR_MALFORMED);
        check(one, NULL, 0, ERR_MALFORMED);
        token[20] ^= 1;
        check(one, token, ENGINE_TOKEN_SIZE, ERR_ROLLBACK);
        token[20] ^= 1;
        token[0] ^= 1;
        check(one, token, ENGINE_TOKEN_SIZE, ERR_MALFORMED);
}

static int close_store(void **state)
{
        (void)state;
        store_close(TAKE(store));
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(one_token_opens_one_state_once),
            cmocka_unit_test(what_is_no_token_is_told_apart),
        };
        return cmocka_run_group_tests_name("tcb-snapshot", tests, set_up, close_store);
}
