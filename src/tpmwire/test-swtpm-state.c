/* swtpm's state files by hand: what is taken, and what is refused with which words. */
#include "lib/test.h"
#include "tpmwire/swtpm-state.h"

static const struct {
        const char *name;
        const char *file;
        size_t len;
        int rc;
        const char *state;
} rows[] = {
    {"plain", "\2\1\0\x0a\0\0\0\0\0\x14\0\1\0\0\0\4abcd", 20, 0, "abcd"},
    {"with another part", "\2\1\0\x0a\0\0\0\0\0\x1b\0\7\0\0\0\1x\0\1\0\0\0\4abcd", 27, 0, "abcd"},
    {"empty file", "", 0, ERR_MALFORMED, NULL},
    {"half a header", "\2\1\0\x0a\0", 5, ERR_MALFORMED, NULL},
    {"nothing behind it", "\2\1\0\x0a\0\0\0\0\0\x0a", 10, ERR_MALFORMED, NULL},
    {"another total", "\2\1\0\x0a\0\0\0\0\0\x15\0\1\0\0\0\4abcd", 20, ERR_MALFORMED, NULL},
    {"another header size", "\2\1\0\x0b\0\0\0\0\0\x14\0\1\0\0\0\4abcd", 20, ERR_MALFORMED, NULL},
    {"length that lies",
     "\2\1\0\x0a\0\0\0\0\0\x14\0\1\xff\xff\xff\xff"
     "abcd",
     20, ERR_MALFORMED, NULL},
    {"empty state", "\2\1\0\x0a\0\0\0\0\0\x10\0\1\0\0\0\0", 16, ERR_MALFORMED, NULL},
    {"two states", "\2\1\0\x0a\0\0\0\0\0\x18\0\1\0\0\0\1a\0\1\0\0\0\1b", 24, ERR_MALFORMED, NULL},
    {"a later format", "\3\3\0\x0a\0\0\0\0\0\x14\0\1\0\0\0\4abcd", 20, ERR_UNSUPPORTED, NULL},
    {"an old format", "\1\1\0\x0a\0\0\0\0\0\x14\0\1\0\0\0\4abcd", 20, ERR_UNSUPPORTED, NULL},
    {"a later format that we may read", "\3\2\0\x0a\0\0\0\0\0\x14\0\1\0\0\0\4abcd", 20, 0, "abcd"},
    {"encrypted", "\2\1\0\x0a\0\1\0\0\0\x14\0\2\0\0\0\4abcd", 20, ERR_UNSUPPORTED, NULL},
    {"for migration", "\2\1\0\x0a\0\4\0\0\0\x14\0\4\0\0\0\4abcd", 20, ERR_UNSUPPORTED, NULL},
};

static void takes_plain_states_only(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct bytes found = {(const uint8_t *)"poison", 6};
                struct err err = {0};
                int rc = swtpm_state_parse(
                    (struct bytes){(const uint8_t *)rows[i].file, rows[i].len}, &found, &err);

                if (rc != rows[i].rc)
                        fail_msg("%s: %d: %s", rows[i].name, rc, err.text);
                assert_true(bytes_equal(
                    found, (struct bytes){(const uint8_t *)(rc == 0 ? rows[i].state : "poison"),
                                          strlen(rc == 0 ? rows[i].state : "poison")}));
        }
}

static void writes_what_swtpm_reads(void **state)
{
        struct writer AUTO_WRITER w = {0};

        (void)state;
        writer_init(&w, SWTPM_STATE_MAX);
        swtpm_state_encode((struct bytes){(const uint8_t *)"abcd", 4}, &w);
        assert_int_equal(writer_check(&w), 0);
        assert_true(bytes_equal(writer_bytes(&w),
                                (struct bytes){(const uint8_t *)rows[0].file, rows[0].len}));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(takes_plain_states_only),
            cmocka_unit_test(writes_what_swtpm_reads),
        };

        return cmocka_run_group_tests_name("tpmwire-swtpm-state", tests, NULL, NULL);
}
