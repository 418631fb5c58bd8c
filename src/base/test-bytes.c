#include <stdlib.h>

#include "base/hex.h"
#include "base/reader.h"
#include "base/writer.h"
#include "lib/test.h"

static void reads_what_was_written(void **state)
{
        uint8_t memory[64];
        struct writer w;
        struct reader r;
        uint8_t u8;
        uint16_t u16;
        uint32_t u32;
        uint64_t u64;
        struct bytes view;

        (void)state;
        writer_init_fixed(&w, memory, sizeof(memory));
        writer_put_u8(&w, 0xa5);
        writer_put_be16(&w, 0x1234);
        writer_put_le16(&w, 0x1234);
        writer_put_be32(&w, 0x89abcdef);
        writer_put_le32(&w, 0x89abcdef);
        writer_put_be64(&w, UINT64_C(0x0123456789abcdef));
        writer_put_le64(&w, UINT64_C(0x0123456789abcdef));
        writer_put_tpm2b(&w, (struct bytes){(const uint8_t *)"abc", 3});
        assert_int_equal(writer_check(&w), 0);
        assert_memory_equal(memory, "\xa5\x12\x34\x34\x12\x89\xab\xcd\xef\xef\xcd\xab\x89", 13);

        r = reader_from_bytes(writer_bytes(&w));
        assert_int_equal(reader_get_u8(&r, &u8), 0);
        assert_int_equal(u8, 0xa5);
        assert_int_equal(reader_get_be16(&r, &u16), 0);
        assert_int_equal(u16, 0x1234);
        assert_int_equal(reader_get_le16(&r, &u16), 0);
        assert_int_equal(u16, 0x1234);
        assert_int_equal(reader_get_be32(&r, &u32), 0);
        assert_int_equal(u32, 0x89abcdef);
        assert_int_equal(reader_get_le32(&r, &u32), 0);
        assert_int_equal(u32, 0x89abcdef);
        assert_int_equal(reader_get_be64(&r, &u64), 0);
        assert_true(u64 == UINT64_C(0x0123456789abcdef));
        assert_int_equal(reader_get_le64(&r, &u64), 0);
        assert_true(u64 == UINT64_C(0x0123456789abcdef));
        assert_int_equal(reader_get_tpm2b(&r, 3, &view), 0);
        assert_int_equal(view.len, 3);
        assert_int_equal(reader_finish(&r), 0);
}

static void refuses_what_is_not_there(void **state)
{
        static const uint8_t three[3] = {1, 2, 3};
        struct reader r = reader_from(three, sizeof(three));
        struct reader child = {0};
        struct bytes view = {0};
        uint32_t poisoned = 0xdeadbeef;

        (void)state;
        assert_int_equal(reader_get_be32(&r, &poisoned), ERR_MALFORMED);
        assert_true(poisoned == 0xdeadbeef);
        assert_int_equal(reader_offset(&r), 0);
        assert_int_equal(reader_get_bytes(&r, SIZE_MAX, &view), ERR_MALFORMED);
        assert_int_equal(reader_skip(&r, 4), ERR_MALFORMED);
        assert_int_equal(reader_finish(&r), ERR_MALFORMED);
        assert_int_equal(reader_skip(&r, 1), 0);
        assert_int_equal(reader_get_child(&r, 2, &child), 0);
        assert_int_equal(reader_offset(&child), 1);
        assert_int_equal(reader_get_be32(&child, &poisoned), ERR_MALFORMED);
        assert_int_equal(reader_finish(&r), 0);
}

static void tpm2b_keeps_position_on_failure(void **state)
{
        static const uint8_t rows[][4] = {{0, 3, 1, 2}, {0xff, 0xff, 1, 2}, {0, 2, 1, 2}};
        struct bytes view = {0};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct reader r = reader_from(rows[i], 4);
                /* The last row is well formed but longer than its maximum of 1. */
                assert_int_equal(reader_get_tpm2b(&r, 1, &view), ERR_MALFORMED);
                assert_int_equal(reader_offset(&r), 0);
        }
}

static void empty_input_has_no_memory(void **state)
{
        struct reader r = reader_from(NULL, 0);
        struct bytes view = {0};

        (void)state;
        assert_int_equal(reader_get_bytes(&r, 0, &view), 0);
        assert_int_equal(reader_finish(&r), 0);
        assert_true(bytes_equal(view, (struct bytes){NULL, 0}));
}

static void remembers_overflow(void **state)
{
        uint8_t memory[3];
        struct writer w;

        (void)state;
        writer_init_fixed(&w, memory, sizeof(memory));
        writer_put_be16(&w, 1);
        writer_put_be16(&w, 2);
        writer_put_u8(&w, 3);
        assert_int_equal(writer_check(&w), ERR_LIMIT);
        assert_int_equal(w.len, 2);
}

static void grows_to_its_maximum(void **state)
{
        struct writer AUTO_WRITER w = {0};
        uint8_t block[100] = {7};
        size_t len;
        uint8_t *data;

        (void)state;
        writer_init(&w, 1000);
        for (int i = 0; i < 10; i++)
                writer_put(&w, block, sizeof(block));
        assert_int_equal(writer_check(&w), 0);
        writer_patch_be32(&w, 996, 0x01020304);
        assert_int_equal(writer_check(&w), 0);
        data = writer_take(&w, &len);
        assert_int_equal(len, 1000);
        assert_memory_equal(data + 996, "\1\2\3\4", 4);
        free(data);
        writer_put_u8(&w, 1);
        assert_int_equal(writer_check(&w), 0);
        writer_patch_be32(&w, 0, 1);
        assert_int_equal(writer_check(&w), ERR_LIMIT);
}

static void hex_both_ways(void **state)
{
        uint8_t out[4] = {0};
        char text[9];
        size_t len = 99;

        (void)state;
        assert_string_equal(hex_encode("\x00\xff\x5a\xa5", 4, text), "00ff5aa5");
        assert_int_equal(hex_decode("00FF5aA5", 8, out, 4, &len), 0);
        assert_int_equal(len, 4);
        assert_memory_equal(out, "\x00\xff\x5a\xa5", 4);
        len = 99;
        assert_int_equal(hex_decode("00F", 3, out, 4, &len), ERR_MALFORMED);
        assert_int_equal(hex_decode("0g", 2, out, 4, &len), ERR_MALFORMED);
        assert_int_equal(hex_decode("0011223344", 10, out, 4, &len), ERR_MALFORMED);
        assert_int_equal(len, 99);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(reads_what_was_written),
            cmocka_unit_test(refuses_what_is_not_there),
            cmocka_unit_test(tpm2b_keeps_position_on_failure),
            cmocka_unit_test(empty_input_has_no_memory),
            cmocka_unit_test(remembers_overflow),
            cmocka_unit_test(grows_to_its_maximum),
            cmocka_unit_test(hex_both_ways),
        };
        return cmocka_run_group_tests_name("base-bytes", tests, NULL, NULL);
}
