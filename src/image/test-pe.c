#include "lib/test.h"

#include "image/pe.h"

#include "base/macro.h"
#include "base/writer.h"

#define PE_AT       0x80
#define OPTIONAL_AT (PE_AT + 24)
#define OPTIONAL    (112 + 16 * 8)
#define SECTIONS_AT (OPTIONAL_AT + OPTIONAL)
#define HEADERS     0x200
#define TEXT_AT     0x200
#define DATA_AT     0x300
#define FILE_SIZE   0x420 /* with 0x20 bytes behind the sections */

/* A PE32+ image with two sections whose table is not in file order, and 0x20 bytes of rest. */
static void make_image(uint8_t image[FILE_SIZE])
{
        static const uint32_t sections[2][2] = {{0x100, DATA_AT}, {0x100, TEXT_AT}};
        struct writer w;

        for (size_t i = 0; i < FILE_SIZE; i++)
                image[i] = (uint8_t)(i * 7 + (i >> 8));
        writer_init_fixed(&w, image, FILE_SIZE);
        writer_put_le16(&w, 0x5a4d);
        w.len = 60;
        writer_put_le32(&w, PE_AT);
        w.len = PE_AT;
        writer_put_le32(&w, 0x4550);
        writer_put_le16(&w, 0x8664);
        writer_put_le16(&w, 2);
        w.len = PE_AT + 20;
        writer_put_le16(&w, OPTIONAL);
        w.len = OPTIONAL_AT;
        writer_put_le16(&w, 0x20b);
        w.len = OPTIONAL_AT + 60;
        writer_put_le32(&w, HEADERS);
        w.len = OPTIONAL_AT + 108;
        writer_put_le32(&w, 16);
        w.len = OPTIONAL_AT + 112 + 4 * 8;
        writer_put_le32(&w, 0);
        writer_put_le32(&w, 0);
        for (size_t i = 0; i < 2; i++) {
                w.len = SECTIONS_AT + i * 40 + 16;
                writer_put_le32(&w, sections[i][0]);
                writer_put_le32(&w, sections[i][1]);
        }
}

/* Everything is hashed but the checksum and the certificate entry; sections in file order. */
static void test_ranges(void **state)
{
        static const struct {
                size_t from;
                size_t len;
        } expected[] = {
            {0, OPTIONAL_AT + 64},
            {OPTIONAL_AT + 68, 112 + 32 - 68},
            {OPTIONAL_AT + 112 + 40, HEADERS - (OPTIONAL_AT + 112 + 40)},
            {TEXT_AT, 0x100},
            {DATA_AT, 0x100},
            {0x400, 0x20},
        };
        uint8_t image[FILE_SIZE];
        struct pe_ranges ranges;
        struct err err = {0};

        (void)state;
        make_image(image);
        assert_ok(pe_parse((struct bytes){image, sizeof(image)}, &ranges, &err), &err);
        assert_int_equal(ranges.n, ARRAY_SIZE(expected));
        for (size_t i = 0; i < ranges.n; i++) {
                assert_int_equal(ranges.range[i].data - image, expected[i].from);
                assert_int_equal(ranges.range[i].len, expected[i].len);
        }
}

/* A signature changes neither of what it does not cover: checksum, entry, certificates. */
static void test_signature_is_not_hashed(void **state)
{
        const struct hash_alg *alg = hash_by_tpm_id(HASH_TPM_SHA256);
        uint8_t image[FILE_SIZE];
        uint8_t before[HASH_SIZE_MAX];
        uint8_t after[HASH_SIZE_MAX];
        struct err err = {0};

        (void)state;
        make_image(image);
        assert_ok(pe_digest((struct bytes){image, 0x400}, alg, before, &err), &err);
        image[OPTIONAL_AT + 64] ^= 0xff;
        image[OPTIONAL_AT + 112 + 32] = 0x00;
        image[OPTIONAL_AT + 112 + 33] = 0x04;
        image[OPTIONAL_AT + 112 + 36] = 0x20;
        assert_ok(pe_digest((struct bytes){image, sizeof(image)}, alg, after, &err), &err);
        assert_memory_equal(before, after, alg->size);
        image[TEXT_AT] ^= 1;
        assert_ok(pe_digest((struct bytes){image, sizeof(image)}, alg, after, &err), &err);
        assert_memory_not_equal(before, after, alg->size);
}

static const struct {
        const char *name;
        size_t offset;
        uint32_t value;
        unsigned bytes;
} malformed_rows[] = {
    {"no MZ", 0, 0x5a4e, 2},
    {"PE header behind the end", 60, FILE_SIZE, 4},
    {"PE header at 4 GiB", 60, UINT32_MAX, 4},
    {"no PE signature", PE_AT, 0x4551, 4},
    {"97 sections", PE_AT + 6, 97, 2},
    {"65535 sections", PE_AT + 6, 65535, 2},
    {"optional header empty", PE_AT + 20, 0, 2},
    {"optional header too short for its directory", PE_AT + 20, 120, 2},
    {"optional header behind the end", PE_AT + 20, 4000, 2},
    {"unknown magic", OPTIONAL_AT, 0x107, 2},
    {"headers shorter than their parts", OPTIONAL_AT + 60, OPTIONAL_AT, 4},
    {"headers longer than the file", OPTIONAL_AT + 60, FILE_SIZE + 1, 4},
    {"headers of 4 GiB", OPTIONAL_AT + 60, UINT32_MAX, 4},
    {"section of 4 GiB", SECTIONS_AT + 16, UINT32_MAX, 4},
    {"section behind the end", SECTIONS_AT + 20, FILE_SIZE, 4},
    {"section at 4 GiB", SECTIONS_AT + 20, UINT32_MAX, 4},
    {"certificates larger than the rest", OPTIONAL_AT + 112 + 36, 0x21, 4},
    {"certificates of 4 GiB", OPTIONAL_AT + 112 + 36, UINT32_MAX, 4},
};

static void test_malformed(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(malformed_rows); i++) {
                struct pe_ranges ranges = {.n = 4711};
                uint8_t image[FILE_SIZE];
                struct err err = {0};

                make_image(image);
                for (unsigned b = 0; b < malformed_rows[i].bytes; b++)
                        image[malformed_rows[i].offset + b] =
                            (uint8_t)(malformed_rows[i].value >> (8 * b));
                if (pe_parse((struct bytes){image, sizeof(image)}, &ranges, &err) != ERR_MALFORMED)
                        fail_msg("%s was taken", malformed_rows[i].name);
                assert_int_equal(ranges.n, 4711);
                assert_string_not_equal(err.text, "");
        }
}

static void test_cut(void **state)
{
        uint8_t image[FILE_SIZE];
        struct pe_ranges ranges;

        (void)state;
        make_image(image);
        for (size_t len = 0; len < 0x400; len++) {
                struct err err = {0};

                if (pe_parse((struct bytes){image, len}, &ranges, &err) != ERR_MALFORMED)
                        fail_msg("an image of %zu bytes was taken", len);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_ranges),
            cmocka_unit_test(test_signature_is_not_hashed),
            cmocka_unit_test(test_malformed),
            cmocka_unit_test(test_cut),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
