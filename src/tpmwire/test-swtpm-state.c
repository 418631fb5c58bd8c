/* swtpm's state files by hand: what is taken, and what is refused with which words. */
#include <stdlib.h>

#include "base/fd.h"
#include "base/hex.h"
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
    {"encrypted, without a MAC", "\2\1\0\x0a\0\1\0\0\0\x14\0\2\0\0\0\4abcd", 20, ERR_MALFORMED,
     NULL},
    {"in clear, under the flag of an encrypted one", "\2\1\0\x0a\0\1\0\0\0\x14\0\1\0\0\0\4abcd", 20,
     ERR_MALFORMED, NULL},
    {"for migration", "\2\1\0\x0a\0\4\0\0\0\x14\0\4\0\0\0\4abcd", 20, ERR_UNSUPPORTED, NULL},
};

static void takes_files_apart(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct swtpm_state found = {.data = {(const uint8_t *)"poison", 6}};
                const char *expected = rows[i].rc == 0 ? rows[i].state : "poison";
                struct err err = {0};
                int rc = swtpm_state_parse(
                    (struct bytes){(const uint8_t *)rows[i].file, rows[i].len}, &found, &err);

                if (rc != rows[i].rc)
                        fail_msg("%s: %d: %s", rows[i].name, rc, err.text);
                assert_int_equal(found.key_len, 0);
                assert_true(bytes_equal(
                    found.data, (struct bytes){(const uint8_t *)expected, strlen(expected)}));
        }
}

/*
 * Made by hand as swtpm makes them, AES by the openssl program; the state is "abcd". The tests with
 * a real swtpm are in tests/system.
 */
#define PBKDF2_256                                                                                 \
        "0201000a00090000007c000200000020a7bcf0f85f41e010e5f800d9840a58e2c79fabe2c745040b4e0d3efc" \
        "4ad7eba1000300000020d590c7569b534fb0f790867af9281bd19d4146ad95e21b2aeaec3ee827104a370006" \
        "00000020000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define PBKDF2_LINE_END_128                                                                        \
        "0201000a00010000005c000200000010c3852a7a5ece5e27b173ad691d3f9c2100030000002064b93cdf7726" \
        "dc70cb0ade768e4bedf3d7f71532f68f2251e80cb46bdbdccf09000600000010000102030405060708090a0b" \
        "0c0d0e0f"
#define SHA512_256                                                                                 \
        "0201000a00090000007c0002000000202250936651e2c21c218df390a57580c4ae22ece6c78c5c728daa6e01" \
        "27463a3f00030000002028a26f3473394d9a44cb868c32e33b27040edefe4d98650d047f902a22bbd9850006" \
        "00000020000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define SHA512_LINE_END_256                                                                        \
        "0201000a00090000007c000200000020ba58bf98ae68722d0d13a9babdf8c48eeaeb544a04b20fdf56818bf8" \
        "337ce640000300000020f34d9d2d92cb883bc5f160b498f39d3d5f04c55ea8ccbc4fd4d0d5386dfc46c90006" \
        "00000020000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY_128                                                                                    \
        "0201000a00010000005c0002000000109b945d8b307193f922bb2d7f97da4298000300000020e43c490e5ddf" \
        "66442fc0a2a3c523f348c930dd022d6204867b3c92dd940d8bd7000600000010000102030405060708090a0b" \
        "0c0d0e0f"
#define KEY_256                                                                                    \
        "0201000a00090000007c000200000020be11d5c7854d44e7eb85bbcd60eb672377f8ad8f1d67e0853b54360c" \
        "0e7daab0000300000020b6f8d32b84ba7ad1034d3b78ced6bc285803708a0fae05c100b989a10db3ed480006" \
        "00000020000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define NO_IV                                                                                      \
        "0201000a0001000000460002000000108401f015861078f6f5c02813e44102af000300000020ef3b42c3d8fc" \
        "601f56ed9689a32dccc0de8b28498d1c80bac2d5637fc9ae565b"
#define BAD_PADDING                                                                                \
        "0201000a00010000005c00020000001015a99cf17e739c9a6f953a66a5caff10000300000020ebe4fa132e21" \
        "d83ada01d6a3245cedf9045013364954485b9375d54281d1a71b000600000010000102030405060708090a0b" \
        "0c0d0e0f"
#define KEY "00112233445566778899aabbccddeeff"

static const struct {
        const char *name;
        const char *file; /* hexadecimal */
        const char *secret;
        size_t flip; /* this byte of the file; 0: none */
        int rc;
} sealed[] = {
    {"passphrase", PBKDF2_256, "horse", 0, 0},
    {"passphrase of a file with a line end", PBKDF2_LINE_END_128, "horse", 0, 0},
    {"old kind of passphrase", SHA512_256, "horse", 0, 0},
    {"old kind, with a line end", SHA512_LINE_END_256, "horse", 0, 0},
    {"key of 128 bits", KEY_128, KEY, 0, 0},
    {"key of 256 bits", KEY_256, KEY KEY, 0, 0},
    {"key as swtpm takes it too", KEY_256, "0x" KEY KEY, 0, 0},
    {"no IV", NO_IV, KEY, 0, 0},
    {"no secret", PBKDF2_256, NULL, 0, ERR_NOT_PERMITTED},
    {"another passphrase", PBKDF2_256, "horsf", 0, ERR_NOT_PERMITTED},
    {"another key", KEY_128, "0" KEY, 0, ERR_NOT_PERMITTED},
    {"half a key", KEY_256, KEY, 0, ERR_NOT_PERMITTED},
    {"a changed byte", PBKDF2_256, "horse", 16, ERR_NOT_PERMITTED},
    {"a changed MAC", PBKDF2_256, "horse", 60, ERR_NOT_PERMITTED},
    {"a changed IV", PBKDF2_256, "horse", 123, ERR_NOT_PERMITTED},
    {"IV of another length", PBKDF2_256, "horse", 5, ERR_MALFORMED},
    {"bad padding", BAD_PADDING, KEY, 0, ERR_MALFORMED},
};

static int open_row(size_t i, uint8_t **ret_plain, size_t *ret_len, struct err *err)
{
        struct secret AUTO_SECRET *secret = NULL;
        struct swtpm_state parts;
        uint8_t file[256];
        size_t len = 0;
        int rc;

        assert_int_equal(
            hex_decode(sealed[i].file, strlen(sealed[i].file), file, sizeof(file), &len), 0);
        if (sealed[i].flip != 0)
                file[sealed[i].flip] ^= 8;
        if (sealed[i].secret != NULL)
                assert_ok(secret_new_copy(sealed[i].secret, strlen(sealed[i].secret), &secret, err),
                          err);
        rc = swtpm_state_parse((struct bytes){file, len}, &parts, err);
        return rc != 0 ? rc : swtpm_state_open(&parts, secret, ret_plain, ret_len, err);
}

static void opens_encrypted_states(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(sealed); i++) {
                struct err err = {0};
                uint8_t AUTO_FREE *plain = NULL;
                size_t len = 0;
                int rc = open_row(i, &plain, &len, &err);

                if (rc != sealed[i].rc)
                        fail_msg("%s: %d: %s", sealed[i].name, rc, err.text);
                if (rc != 0)
                        assert_null(plain);
                else
                        assert_true(bytes_equal((struct bytes){plain, len},
                                                (struct bytes){(const uint8_t *)"abcd", 4}));
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
            cmocka_unit_test(takes_files_apart),
            cmocka_unit_test(opens_encrypted_states),
            cmocka_unit_test(writes_what_swtpm_reads),
        };

        return cmocka_run_group_tests_name("tpmwire-swtpm-state", tests, NULL, NULL);
}
