/* The host's keys with a TPM of words (lib/ptpm-double.h): made once, found again, never remade. */
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "lib/ptpm-double.h"
#include "lib/test.h"
#include "tcb/keys.h"

static struct rig {
        char path[PATH_MAX];
        struct store *store;
        struct ptpm *ptpm;
        struct host_keys keys;
} rig;
static unsigned hosts;

static void new_host(void)
{
        (void)snprintf(rig.path, sizeof(rig.path), "%s/keys-%u.db", test_dir(), hosts++);
}

/* A start of the TCB; tcti says what the TPM does otherwise. */
static int start(const char *tcti, struct err *err)
{
        static struct tcb_config config;

        (void)snprintf(config.programs, sizeof(config.programs), "%s", test_dir());
        (void)snprintf(config.tcti, sizeof(config.tcti), "%s", tcti);
        memset(&rig.keys, 0x5a, sizeof(rig.keys));
        assert_ok(store_open(rig.path, &rig.store, err), err);
        assert_ok(ptpm_new(&config, !host_keys_exist(rig.store), &rig.ptpm, err), err);
        return host_keys_load(rig.store, rig.ptpm, NULL, &rig.keys, err);
}

static void stop(void)
{
        ptpm_free(rig.ptpm);
        store_close(rig.store);
}

static void start_well(void)
{
        struct err err = {0};

        assert_ok(start("good", &err), &err);
        assert_true(host_keys_exist(rig.store));
        host_keys_done(&rig.keys);
        assert_null(rig.keys.memory);
        stop();
}

/* Nothing is given out, and what follows in the words names the step. */
static void start_badly(const char *tcti, int code, const char *words)
{
        struct host_keys poison;
        struct err err = {0};

        memset(&poison, 0x5a, sizeof(poison));
        if (start(tcti, &err) != code || strstr(err.text, words) == NULL)
                fail_msg("%s: %d: %s", tcti, err.code, err.text);
        assert_memory_equal(&rig.keys, &poison, sizeof(poison));
        stop();
}

static void keys_are_made_once(void **state)
{
        struct err err = {0};
        struct tpm_name ak;
        struct tpm_name cek;

        (void)state;
        new_host();
        assert_ok(start("good", &err), &err);
        ak = rig.keys.ak_name;
        cek = rig.keys.cek_name;
        assert_int_equal(ak.len, 34);
        assert_memory_not_equal(ak.data, cek.data, ak.len);
        assert_true(bytes_equal(rig.keys.cek_attest, wire_text("attest")));
        host_keys_done(&rig.keys);
        stop();
        assert_ok(start("good", &err), &err);
        assert_memory_equal(rig.keys.ak_name.data, ak.data, ak.len);
        assert_memory_equal(rig.keys.cek_name.data, cek.data, cek.len);
        host_keys_done(&rig.keys);
        stop();
}

static void a_first_start_that_fails_can_be_done_again(void **state)
{
        static const struct {
                const char *tcti;
                int code;
                const char *words;
        } rows[] = {
            {"refuse-4", ERR_TPM, "make the storage key: "},
            {"wrong-4", ERR_MALFORMED, "make the storage key: arbiter: unexpected"},
            {"refuse-2", ERR_TPM, "make the AK and the CEK: told to refuse"},
            {"wrong-2", ERR_MALFORMED, "make the AK and the CEK: arbiter: unexpected"},
            {"refuse-3", ERR_TPM, "load the AK and the CEK: told to refuse"},
            {"wrong-3", ERR_MALFORMED, "load the AK and the CEK: arbiter: unexpected"},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                new_host();
                start_badly(rows[i].tcti, rows[i].code, rows[i].words);
                start_well();
        }
}

/* A host that booted otherwise keeps its store closed, and nothing in it is replaced. */
static void a_tpm_that_does_not_unseal_changes_nothing(void **state)
{
        struct err err = {0};

        (void)state;
        new_host();
        start_well();
        start_badly("refuse-5", ERR_TPM, "unseal the storage key: ");
        assert_int_equal(start("refuse-5", &err), ERR_TPM);
        assert_non_null(strstr(err.hint, "booted something else"));
        stop();
        start_badly("wrong-5", ERR_MALFORMED, "unseal the storage key: ");
        start_well();
}

static void a_key_of_the_wrong_size_opens_nothing(void **state)
{
        struct err err = {0};
        int rc;

        (void)state;
        new_host();
        start_well();
        rc = start("short-5", &err);
        assert_true(rc < 0);
        stop();
        start_well();
}

static void an_ak_that_is_no_key_is_refused(void **state)
{
        (void)state;
        new_host();
        start_badly("short-2", ERR_MALFORMED, "");
}

/* What the store says ----------------------------------------------------------------------------
 */

/* The double's sealed key is the key: the test can open the store as the TCB does. */
static void edit(const char *record, const void *data, size_t len)
{
        uint8_t AUTO_FREE *sealed = NULL;
        struct secret AUTO_SECRET *key = NULL;
        struct store *store = NULL;
        struct err err = {0};
        size_t sealed_len;

        assert_ok(store_open(rig.path, &store, &err), &err);
        assert_ok(store_get_record(store, "storage-key", &sealed, &sealed_len, &err), &err);
        assert_ok(secret_new_copy(sealed, sealed_len, &key, &err), &err);
        assert_ok(store_unlock(store, key, &err), &err);
        assert_ok(store_begin(store, &err), &err);
        if (data == NULL)
                assert_ok(store_delete_record(store, record, &err), &err);
        else
                assert_ok(store_put_record(store, record, (struct bytes){data, len}, &err), &err);
        assert_ok(store_commit(store, &err), &err);
        store_close(store);
}

static void get_keys_record(uint8_t **ret_data, size_t *ret_len)
{
        struct store *store = NULL;
        struct err err = {0};

        assert_ok(store_open(rig.path, &store, &err), &err);
        assert_ok(store_get_record(store, "ptpm-keys", ret_data, ret_len, &err), &err);
        store_close(store);
}

/* A-ROLLBACK: a store without its key is not a new host's. */
static void a_store_whose_key_was_taken_out_does_not_open(void **state)
{
        (void)state;
        new_host();
        start_well();
        edit("storage-key", NULL, 0);
        start_badly("good", ERR_ROLLBACK, "");
}

static void a_damaged_record_names_the_place(void **state)
{
        uint8_t AUTO_FREE *good = NULL;
        uint8_t AUTO_FREE *bad = NULL;
        size_t len;

        (void)state;
        new_host();
        start_well();
        get_keys_record(&good, &len);
        bad = calloc(1, len + 1);
        assert_non_null(bad);
        memcpy(bad, good, len);
        edit("ptpm-keys", bad, len + 1);
        start_badly("good", ERR_DAMAGED, "record ptpm-keys: at offset");
        for (size_t cut = 0; cut < len; cut += 37) {
                edit("ptpm-keys", bad, cut);
                start_badly("good", ERR_DAMAGED, "record ptpm-keys: at offset");
        }
        bad[1] = 2; /* format */
        edit("ptpm-keys", bad, len);
        start_badly("good", ERR_DAMAGED, "record ptpm-keys: at offset 2");
        memcpy(bad, good, len);
        bad[2 + 2 + 89] ^= 0xff; /* AK's public area */
        edit("ptpm-keys", bad, len);
        start_badly("good", ERR_TPM, "load the AK and the CEK: other keys");
        memcpy(bad, good, len);
        bad[2 + 2 + 90 + 2] ^= 0xff; /* AK's private part */
        edit("ptpm-keys", bad, len);
        start_badly("good", ERR_TPM, "load the AK and the CEK: another authorisation value");
        edit("ptpm-keys", good, len);
        start_well();
}

static int link_ourselves(void **state)
{
        (void)state;
        return double_link(test_dir(), "catena-arbiter");
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(keys_are_made_once),
            cmocka_unit_test(a_first_start_that_fails_can_be_done_again),
            cmocka_unit_test(a_tpm_that_does_not_unseal_changes_nothing),
            cmocka_unit_test(a_key_of_the_wrong_size_opens_nothing),
            cmocka_unit_test(an_ak_that_is_no_key_is_refused),
            cmocka_unit_test(a_store_whose_key_was_taken_out_does_not_open),
            cmocka_unit_test(a_damaged_record_names_the_place),
        };

        if (double_is(argc, argv, "catena-arbiter"))
                return ptpm_double();
        return cmocka_run_group_tests_name("tcb-keys", tests, link_ourselves, NULL);
}
