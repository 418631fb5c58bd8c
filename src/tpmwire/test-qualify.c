#include "base/hex.h"
#include "lib/test.h"
#include "tpmwire/qualify.h"

static uint8_t nonce[QUALIFY_NONCE_SIZE], uuid[QUALIFY_UUID_SIZE], root[32];
static uint8_t first_name[34] = {0x00, 0x0b}, second_name[34] = {0x00, 0x0b};

static int fill(void **state)
{
        (void)state;
        memset(nonce, 0x11, sizeof(nonce));
        memset(uuid, 0x22, sizeof(uuid));
        memset(first_name + 2, 0x33, 32);
        memset(second_name + 2, 0x44, 32);
        memset(root, 0x55, sizeof(root));
        return 0;
}

static struct bytes view(const uint8_t *data, size_t len)
{
        return (struct bytes){data, len};
}

static struct qualify_vm good_vm(void)
{
        return (struct qualify_vm){.nonce = nonce,
                                   .uuid = uuid,
                                   .epoch = 1,
                                   .cek_name = view(first_name, sizeof(first_name)),
                                   .ek_name = view(second_name, sizeof(second_name))};
}

static void assert_digest(const uint8_t *digest, const char *expected)
{
        char text[2 * QUALIFY_SIZE + 1];

        assert_string_equal(hex_encode(digest, QUALIFY_SIZE, text), expected);
}

/* Computed by another program from the definition in the header. */
static void known_answers(void **state)
{
        uint8_t digest[QUALIFY_SIZE];
        struct qualify_vm vm = good_vm();
        struct err err = {0};

        (void)state;
        assert_ok(qualify_vm(&vm, digest, &err), &err);
        assert_digest(digest, "54740558228f0414fb47e344b9d3bc1d1f947a2f4cb82f21aabf6abc593d1046");
        assert_ok(qualify_tree(view(first_name, 34), 3, root, digest, &err), &err);
        assert_digest(digest, "e336cfff2083630ea73229eda507c096282b276c03916a82ef7a1800e66bf300");
        assert_ok(qualify_enrol(view(first_name, 34), view(second_name, 34), digest, &err), &err);
        assert_digest(digest, "a25992ade357cacf6b049545684357c9e5b38eebe2259ef48d6e9128dc2cffa0");
        assert_ok(qualify_digest(QUALIFY_KMC, NULL, 0, digest, &err), &err);
        assert_digest(digest, "b7d6f7604f8188b4a4552777f0264c9d0b861e8cf5ee5210b298eab66bde2c2f");
}

/* Every field of a vTPM's quote counts; two ways to split the same bytes differ. */
static void every_field_counts(void **state)
{
        uint8_t digests[6][QUALIFY_SIZE];
        struct qualify_vm vms[6];
        struct err err = {0};

        (void)state;
        for (size_t i = 0; i < 6; i++)
                vms[i] = good_vm();
        vms[1].nonce = root;
        vms[2].uuid = root;
        vms[3].epoch = 2;
        vms[4].cek_name = view(second_name, sizeof(second_name));
        vms[5].ek_name.len--;
        for (size_t i = 0; i < 6; i++)
                assert_ok(qualify_vm(&vms[i], digests[i], &err), &err);
        for (size_t i = 0; i < 6; i++)
                for (size_t j = 0; j < i; j++)
                        assert_memory_not_equal(digests[i], digests[j], QUALIFY_SIZE);
}

static void labels_differ(void **state)
{
        uint8_t digests[QUALIFY_LABELS][QUALIFY_SIZE];
        struct bytes field = view(root, sizeof(root));
        struct err err = {0};

        (void)state;
        for (unsigned i = 0; i < QUALIFY_LABELS; i++) {
                assert_ok(qualify_digest((enum qualify_label)i, &field, 1, digests[i], &err), &err);
                for (unsigned j = 0; j < i; j++)
                        assert_memory_not_equal(digests[i], digests[j], QUALIFY_SIZE);
        }
}

static void fields_do_not_slide(void **state)
{
        uint8_t one[QUALIFY_SIZE], two[QUALIFY_SIZE];
        struct bytes split_a[] = {view(nonce, 10), view(nonce, 22)};
        struct bytes split_b[] = {view(nonce, 22), view(nonce, 10)};
        struct err err = {0};

        (void)state;
        assert_ok(qualify_digest(QUALIFY_VM, split_a, 2, one, &err), &err);
        assert_ok(qualify_digest(QUALIFY_VM, split_b, 2, two, &err), &err);
        assert_memory_not_equal(one, two, sizeof(one));
}

/* SHA-256 of 32 bytes 0x11 and 16 bytes 0x22, by another program. */
static void digest_of_a_quote(void **state)
{
        uint8_t digest[QUALIFY_SIZE];
        struct err err = {0};

        (void)state;
        assert_ok(qualify_quote_digest(view(nonce, 32), view(uuid, 16), digest, &err), &err);
        assert_digest(digest, "067163355c1ef281e5b95dd6000e3945f41154808a1f14698b9a2daa3d89079f");
}

static void limits(void **state)
{
        static const uint8_t large[QUALIFY_BYTES_MAX];
        struct bytes fields[QUALIFY_FIELDS_MAX + 1];
        uint8_t digest[QUALIFY_SIZE] = {0xa5}, untouched[QUALIFY_SIZE] = {0xa5};
        struct err err = {0};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                fields[i] = view(large, sizeof(large));
        assert_int_equal(qualify_digest(QUALIFY_VM, fields, ARRAY_SIZE(fields), digest, &err),
                         ERR_LIMIT);
        assert_int_equal(qualify_digest(QUALIFY_VM, fields, 2, digest, &err), ERR_LIMIT);
        assert_int_equal(qualify_digest(QUALIFY_LABELS, fields, 1, digest, &err), ERR_LIMIT);
        assert_memory_equal(digest, untouched, sizeof(digest));
        assert_ok(qualify_digest(QUALIFY_VM, fields, 1, digest, &err), &err);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(known_answers), cmocka_unit_test(every_field_counts),
            cmocka_unit_test(labels_differ), cmocka_unit_test(fields_do_not_slide),
            cmocka_unit_test(limits),        cmocka_unit_test(digest_of_a_quote),
        };
        return cmocka_run_group_tests_name("tpmwire-qualify", tests, fill, NULL);
}
