#include "lib/test.h"
#include "wire/leaf.h"

static void fill_name(struct leaf_name *name, uint8_t len, uint8_t byte)
{
        name->len = len;
        memset(name->data, byte, len);
}

static struct leaf sample(void)
{
        struct leaf leaf = {.epoch = 0x0102030405060708,
                            .lease = 9,
                            .init_count = 0x0a0b0c0d,
                            .launch = LEAF_LAUNCH_TCB,
                            .flags = LEAF_ROLLBACK};

        memset(leaf.nonce, 1, sizeof(leaf.nonce));
        memset(leaf.uuid, 2, sizeof(leaf.uuid));
        memset(leaf.security_block, 3, sizeof(leaf.security_block));
        memset(leaf.qualifying, 4, sizeof(leaf.qualifying));
        fill_name(&leaf.cek_name, 34, 5);
        fill_name(&leaf.ek_name, LEAF_NAME_MAX, 6);
        return leaf;
}

static size_t encode(const struct leaf *leaf, uint8_t memory[LEAF_SIZE_MAX])
{
        struct writer w;
        struct err err = {0};

        writer_init_fixed(&w, memory, LEAF_SIZE_MAX);
        assert_ok(leaf_encode(leaf, &w, &err), &err);
        return w.len;
}

static void there_and_back(void **state)
{
        uint8_t memory[LEAF_SIZE_MAX];
        struct leaf leaf = sample(), again;
        size_t len = encode(&leaf, memory);
        struct err err = {0};

        (void)state;
        memset(&again, 0xa5, sizeof(again));
        assert_ok(leaf_decode((struct bytes){memory, len}, &again, &err), &err);
        assert_memory_equal(again.nonce, leaf.nonce, sizeof(leaf.nonce));
        assert_memory_equal(again.qualifying, leaf.qualifying, sizeof(leaf.qualifying));
        assert_true(leaf_name_equal(&again.ek_name, (struct bytes){leaf.ek_name.data, 66}));
        assert_int_equal(again.ak_name.len, 0);
        assert_true(again.epoch == leaf.epoch && again.lease == leaf.lease);
        assert_int_equal(again.init_count, leaf.init_count);
        assert_int_equal(again.flags, LEAF_ROLLBACK);
        /* The layout is a contract: magic, version, nonce, uuid, epoch. */
        assert_memory_equal(memory, "CLF\2\1\1", 6);
        assert_memory_equal(memory + 4 + 32 + 16, "\1\2\3\4\5\6\7\10", 8);
}

static void a_host_counts_its_vms(void **state)
{
        uint8_t memory[LEAF_SIZE_MAX];
        struct leaf leaf = {.launch = LEAF_LAUNCH_HOST, .vms = 3, .vms_running = 2}, again;
        size_t len = encode(&leaf, memory);
        struct err err = {0};

        (void)state;
        assert_ok(leaf_decode((struct bytes){memory, len}, &again, &err), &err);
        assert_int_equal(again.vms, 3);
        assert_int_equal(again.vms_running, 2);
}

static void cut_or_longer(void **state)
{
        uint8_t memory[LEAF_SIZE_MAX] = {0};
        struct leaf leaf = sample(), untouched, again;
        size_t len = encode(&leaf, memory);
        struct err err = {0};

        (void)state;
        memset(&again, 0xa5, sizeof(again));
        untouched = again;
        for (size_t cut = 0; cut < len; cut++)
                assert_int_equal(leaf_decode((struct bytes){memory, cut}, &again, &err),
                                 ERR_MALFORMED);
        assert_int_equal(leaf_decode((struct bytes){memory, len + 1}, &again, &err), ERR_MALFORMED);
        assert_memory_equal(&again, &untouched, sizeof(again));
}

/* Bytes from the end of the encoding: flags, launch, anchor; from its start: magic, version. */
static const struct {
        const char *name;
        int at; /* negative: from the end */
        uint8_t value;
        int code;
} bad_bytes[] = {
    {"magic", 0, 'X', ERR_MALFORMED},
    {"version 0", 3, 0, ERR_UNSUPPORTED},
    {"version 1", 3, 1, ERR_UNSUPPORTED},
    {"unknown flag", -1, 0x08, ERR_MALFORMED},
    {"unknown launch", -2, 9, ERR_MALFORMED},
    {"launch 0", -2, 0, ERR_MALFORMED},
    {"unknown anchor", -3, 1, ERR_MALFORMED},
    {"a VM's that counts VMs", -8, 1, ERR_MALFORMED},
    {"more run than there are", -4, 1, ERR_MALFORMED},
    {"CEK name too long", 196, 67, ERR_MALFORMED},
};

static void values_nobody_means(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad_bytes); i++) {
                uint8_t memory[LEAF_SIZE_MAX];
                struct leaf leaf = sample();
                size_t len = encode(&leaf, memory);
                struct err err = {0};
                int at = bad_bytes[i].at;

                memory[at < 0 ? len - (size_t)-at : (size_t)at] = bad_bytes[i].value;
                if (leaf_decode((struct bytes){memory, len}, &leaf, &err) != bad_bytes[i].code)
                        fail_msg("%s: %s", bad_bytes[i].name, err.text);
        }
}

static void refuses_to_encode(void **state)
{
        uint8_t memory[LEAF_SIZE_MAX], longer[LEAF_NAME_MAX + 1] = {0};
        struct leaf leaf = sample();
        struct writer w;
        struct err err = {0};

        (void)state;
        writer_init_fixed(&w, memory, 64);
        assert_int_equal(leaf_encode(&leaf, &w, &err), ERR_LIMIT);
        writer_init_fixed(&w, memory, sizeof(memory));
        leaf.flags = 0x80;
        assert_int_equal(leaf_encode(&leaf, &w, &err), ERR_MALFORMED);
        assert_int_equal(w.len, 0);
        assert_int_equal(leaf_name_set(&leaf.ak_name, (struct bytes){longer, sizeof(longer)}),
                         ERR_LIMIT);
        assert_int_equal(leaf_name_set(&leaf.ak_name, (struct bytes){longer, 34}), 0);
        assert_false(leaf_name_equal(&leaf.ak_name, (struct bytes){longer, 33}));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(there_and_back),    cmocka_unit_test(a_host_counts_its_vms),
            cmocka_unit_test(cut_or_longer),     cmocka_unit_test(values_nobody_means),
            cmocka_unit_test(refuses_to_encode),
        };
        return cmocka_run_group_tests_name("wire-leaf", tests, NULL, NULL);
}
