#include <stdlib.h>

#include "lib/test.h"
#include "store/block.h"
#include "store/sealed.h"

static const uint8_t uuid_a[16] = {0xaa};
static const uint8_t uuid_b[16] = {0xbb};
static const uint8_t digest_a[32] = {1};
static const uint8_t digest_b[32] = {2};

static const struct sealed_context home = {uuid_a, 1, 7, digest_a, 1};

/* R-SPLICE, R-ROLLBACK: a context that differs in one field. */
static const struct {
        const char *name;
        struct sealed_context context;
} others[] = {
    {"another VM", {uuid_b, 1, 7, digest_a, 1}},
    {"another epoch", {uuid_a, 2, 7, digest_a, 1}},
    {"an older sequence", {uuid_a, 1, 6, digest_a, 1}},
    {"a newer sequence", {uuid_a, 1, 8, digest_a, 1}},
    {"another configuration", {uuid_a, 1, 7, digest_b, 1}},
    {"another kind", {uuid_a, 1, 7, digest_a, 2}},
};

static struct sealer *sealer;

static struct sealer *new_sealer(void)
{
        struct secret AUTO_SECRET *key = NULL;
        struct sealer *made = NULL;
        struct err err = {0};

        assert_ok(secret_new_random(32, &key, &err), &err);
        assert_ok(sealer_new(key, &made, &err), &err);
        return made;
}

static struct bytes seal(const char *plain)
{
        uint8_t *sealed = NULL;
        struct err err = {0};

        assert_ok(sealer_seal(sealer, &home, (struct bytes){(const uint8_t *)plain, strlen(plain)},
                              &sealed, &err),
                  &err);
        return (struct bytes){sealed, strlen(plain) + SEALED_OVERHEAD};
}

static int try_open(struct sealer *with, const struct sealed_context *context, struct bytes sealed)
{
        uint8_t *plain = (uint8_t *)"poison";
        struct err err = {0};
        int rc = sealer_open(with, context, sealed, &plain, &err);

        if (rc == 0)
                free(plain);
        else
                assert_string_equal((char *)plain, "poison");
        return rc;
}

static void opens_in_its_context_only(void **state)
{
        struct bytes sealed = seal("state");
        struct sealer *stranger = new_sealer();

        (void)state;
        assert_int_equal(try_open(sealer, &home, sealed), 0);
        for (size_t i = 0; i < ARRAY_SIZE(others); i++)
                if (try_open(sealer, &others[i].context, sealed) != ERR_DAMAGED)
                        fail_msg("opens under %s", others[i].name);
        assert_int_equal(try_open(stranger, &home, sealed), ERR_DAMAGED);
        sealer_free(stranger);
        free((void *)(uintptr_t)sealed.data);
}

static void refuses_every_flip_and_cut(void **state)
{
        struct bytes sealed = seal("state");
        uint8_t *data = (uint8_t *)(uintptr_t)sealed.data;

        (void)state;
        for (size_t i = 0; i < sealed.len; i++) {
                data[i] ^= 0x80;
                /* The format's byte alone says that somebody newer wrote it. */
                assert_int_equal(try_open(sealer, &home, sealed),
                                 i == 3 ? ERR_UNSUPPORTED : ERR_DAMAGED);
                data[i] ^= 0x80;
        }
        for (size_t len = 0; len < sealed.len; len++)
                assert_int_equal(try_open(sealer, &home, (struct bytes){data, len}), ERR_DAMAGED);
        free(data);
}

/* R-DOWNGRADE */
static void plaintext_is_not_state(void **state)
{
        static const uint8_t plain[6000] = {0x00, 0x01, 0x02};

        (void)state;
        assert_int_equal(try_open(sealer, &home, (struct bytes){plain, sizeof(plain)}),
                         ERR_DAMAGED);
        assert_int_equal(try_open(sealer, &home, (struct bytes){plain, 0}), ERR_DAMAGED);
}

static void every_save_differs(void **state)
{
        struct bytes one = seal("state");
        struct bytes two = seal("state");
        struct bytes empty = seal("");
        struct bytes big = {one.data, SEALED_PLAIN_MAX + 1};
        uint8_t *ret = NULL;
        struct err err = {0};

        (void)state;
        /* The salt is the process's; the wrapped key and the body are fresh. */
        assert_memory_equal(one.data, two.data, 4 + SEALED_SALT_LEN);
        assert_memory_not_equal(one.data + 20, two.data + 20, 60);
        assert_memory_not_equal(one.data + 80, two.data + 80, one.len - 80);
        assert_int_equal(try_open(sealer, &home, empty), 0);
        assert_int_equal(sealer_seal(sealer, &home, big, &ret, &err), ERR_LIMIT);
        assert_null(ret);
        free((void *)(uintptr_t)one.data);
        free((void *)(uintptr_t)two.data);
        free((void *)(uintptr_t)empty.data);
}

static void check_encoding(struct security_block *in, uint32_t format)
{
        struct security_block out;
        uint8_t memory[BLOCK_ENCODED_MAX];
        uint8_t one[BLOCK_DIGEST_LEN], two[BLOCK_DIGEST_LEN];
        struct writer w;
        struct err err = {0};

        writer_init_fixed(&w, memory, sizeof(memory));
        security_block_encode(in, &w);
        assert_int_equal(writer_check(&w), 0);
        assert_int_equal(memory[3], format);
        memset(&out, 0xa5, sizeof(out));
        for (size_t len = 0; len < w.len; len++)
                assert_int_equal(security_block_decode((struct bytes){memory, len}, &out, &err),
                                 ERR_MALFORMED);
        assert_int_equal(out.n_ek, 0xa5a5a5a5a5a5a5a5);
        assert_ok(security_block_decode(writer_bytes(&w), &out, &err), &err);
        assert_memory_equal(in, &out, sizeof(*in));
        assert_ok(security_block_digest(in, one, &err), &err);
        in->ek[1].data[49] ^= 1;
        assert_ok(security_block_digest(in, two, &err), &err);
        assert_memory_not_equal(one, two, sizeof(one));
        memory[3] = 9;
        assert_int_equal(security_block_decode(writer_bytes(&w), &out, &err), ERR_UNSUPPORTED);
}

/* Blocks without a profile stay as they were written before there were any. */
static void block_survives_encoding(void **state)
{
        struct security_block in = {.epoch = 3, .created = 1700000000, .engine = "libtpms 0.9.2"};
        struct security_block out;
        uint8_t memory[BLOCK_ENCODED_MAX];
        struct writer w;
        struct err err = {0};

        (void)state;
        memcpy(in.uuid, uuid_a, sizeof(in.uuid));
        in.n_ek = 2;
        in.ek[0] = (struct block_name){{0, 0x0b, 1}, 34};
        in.ek[1] = (struct block_name){{0, 0x0c, 2}, 50};
        check_encoding(&in, 1);
        /* The second format says that there is a profile: an empty one would be a second form. */
        writer_init_fixed(&w, memory, sizeof(memory));
        security_block_encode(&in, &w);
        writer_put_be16(&w, 0);
        memory[3] = 2;
        assert_int_equal(security_block_decode(writer_bytes(&w), &out, &err), ERR_MALFORMED);
        memset(in.profile, 'p', BLOCK_PROFILE_MAX);
        check_encoding(&in, 2);
        in.n_ek = BLOCK_EK_MAX;
        memset(in.engine, 'e', BLOCK_ENGINE_MAX);
        for (size_t i = 0; i < BLOCK_EK_MAX; i++)
                in.ek[i].len = BLOCK_TPM_NAME_MAX;
        check_encoding(&in, 2); /* the longest one fits */
}

static int setup(void **state)
{
        (void)state;
        sealer = new_sealer();
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        sealer_free(sealer);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(opens_in_its_context_only),
            cmocka_unit_test(refuses_every_flip_and_cut),
            cmocka_unit_test(plaintext_is_not_state),
            cmocka_unit_test(every_save_differs),
            cmocka_unit_test(block_survives_encoding),
        };
        return cmocka_run_group_tests_name("store-sealed", tests, setup, teardown);
}
