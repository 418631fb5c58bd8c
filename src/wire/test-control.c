/*
 * How long QEMU's messages and their answers are. The engine's test (engine/test-control.c) has a
 * list of all of them, written down apart from the table.
 */
#include "lib/test.h"
#include "wire/control.h"

#define POISON 12345

static void finds_the_end_of_requests(void **state)
{
        static const struct {
                const char *name;
                const char *input;
                size_t n;
                int rc;
                size_t len;
        } rows[] = {
            {"no code", "\0\0\0", 3, 1, POISON},
            {"code 0", "\0\0\0\0", 4, ERR_MALFORMED, POISON},
            {"code behind the last", "\0\0\0\x14", 4, ERR_MALFORMED, POISON},
            {"largest code", "\xff\xff\xff\xff", 4, ERR_MALFORMED, POISON},
            {"no body", "\0\0\0\1", 4, 0, 4},
            {"what follows does not count", "\0\0\0\1\xff\xff\xff\xff", 8, 0, 4},
            {"half a body", "\0\0\0\2\0\0\0", 7, 1, POISON},
            {"whole body", "\0\0\0\2\0\0\0\0", 8, 0, 8},
            {"data to come", "\0\0\0\7\0\0\x10\0", 8, 0, 8 + 4096},
            {"too much data", "\0\0\0\7\0\0\x10\1", 8, ERR_MALFORMED, POISON},
            {"state", "\0\0\0\x0d\0\0\0\0\0\0\0\1\0\4\0\0", 16, 0, CONTROL_REQUEST_MAX},
            {"too large a state", "\0\0\0\x0d\0\0\0\0\0\0\0\1\0\4\0\1", 16, ERR_MALFORMED, POISON},
            {"length that overflows", "\0\0\0\x0d\0\0\0\0\0\0\0\1\xff\xff\xff\xff", 16,
             ERR_MALFORMED, POISON},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct err err = {0};
                size_t len = POISON;
                int rc = control_request_len(
                    (struct bytes){(const uint8_t *)rows[i].input, rows[i].n}, &len, &err);

                if (rc != rows[i].rc || len != rows[i].len)
                        fail_msg("%s: %d, %zu bytes: %s", rows[i].name, rc, len, err.text);
        }
}

static void finds_the_end_of_answers(void **state)
{
        static const uint8_t blob[16] = {0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 9};
        struct err err = {0};
        size_t len = POISON;

        (void)state;
        assert_null(control_shape(0));
        assert_null(control_shape(CONTROL_CODE_END));
        for (uint32_t code = 1; code < CONTROL_CODE_END; code++)
                assert_true(control_shape(code)->answer_len >= 4);
        assert_int_equal(control_answer_len(control_shape(CONTROL_GET_STATEBLOB),
                                            (struct bytes){blob, 15}, 9, &len, &err),
                         1);
        assert_ok(control_answer_len(control_shape(CONTROL_GET_STATEBLOB), (struct bytes){blob, 16},
                                     9, &len, &err),
                  &err);
        assert_int_equal(len, 16 + 9);
        assert_int_equal(control_answer_len(control_shape(CONTROL_GET_STATEBLOB),
                                            (struct bytes){blob, 16}, 8, &len, &err),
                         ERR_MALFORMED);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(finds_the_end_of_requests),
            cmocka_unit_test(finds_the_end_of_answers),
        };

        return cmocka_run_group_tests_name("wire-control", tests, NULL, NULL);
}
