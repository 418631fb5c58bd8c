/*
 * The parsers of attestations, signatures and public areas: what is written is read again, every
 * cut and every byte too many is refused, outputs stay untouched.
 */
#include "base/hex.h"
#include "crypto/hash.h"
#include "lib/test.h"
#include "tpmwire/attest.h"
#include "tpmwire/command.h"
#include "tpmwire/name.h"
#include "tpmwire/signature.h"

static const uint8_t fill[600] = {1, 2, 3};

static void attest_round_trip(void **state)
{
        const struct attest rows[] = {
            {.magic = TPM_GENERATED,
             .type = TPM_ST_ATTEST_QUOTE,
             .qualified_signer = {fill, 34},
             .extra_data = {fill, 32},
             .clock = {7, 8, 9, true},
             .firmware_version = 10,
             .quote = {.select = {2, {{HASH_TPM_SHA256, 0x7ff}, {HASH_TPM_SHA1, 0x800001}}},
                       .digest = {fill, 32}}},
            {.magic = 1,
             .type = TPM_ST_ATTEST_CERTIFY,
             .certify = {.name = {fill, 34}, .qualified_name = {fill, 50}}},
            {.magic = TPM_GENERATED, .type = TPM_ST_ATTEST_TIME, .body = {fill, 40}},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                uint8_t memory[512], again[512];
                struct writer w;
                struct attest attest;
                struct err err = {0};
                size_t len;

                writer_init_fixed(&w, memory, sizeof(memory));
                attest_put(&w, &rows[i]);
                assert_int_equal(writer_check(&w), 0);
                len = w.len;
                assert_ok(attest_parse((struct bytes){memory, len}, &attest, &err), &err);
                writer_init_fixed(&w, again, sizeof(again));
                attest_put(&w, &attest);
                assert_int_equal(w.len, len);
                assert_memory_equal(again, memory, len);
                for (size_t cut = 0; rows[i].type != TPM_ST_ATTEST_TIME && cut < len; cut++) {
                        struct attest poisoned = {.magic = 0xdeadbeef};

                        assert_int_equal(attest_parse((struct bytes){memory, cut}, &poisoned, &err),
                                         ERR_MALFORMED);
                        assert_int_equal(poisoned.magic, 0xdeadbeef);
                }
        }
}

static void attest_refuses(void **state)
{
        static const struct {
                const char *name;
                size_t at;
                uint8_t value;
        } rows[] = {
            {"unknown type", 5, 0x1b},
            {"type of no attestation", 4, 0x00},
            {"name longer than any", 7, 67},
            {"extraData longer than any", 9, 67},
            {"safe is neither yes nor no", 26, 2},
        };
        uint8_t memory[256];

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const struct attest attest = {
                    .magic = TPM_GENERATED, .type = TPM_ST_ATTEST_TIME, .body = {fill, 100}};
                struct attest poisoned = {0};
                struct err err = {0};
                struct writer w;

                writer_init_fixed(&w, memory, sizeof(memory));
                attest_put(&w, &attest);
                memory[rows[i].at] = rows[i].value;
                if (attest_parse(writer_bytes(&w), &poisoned, &err) != ERR_MALFORMED)
                        fail_msg("%s", rows[i].name);
        }
}

static void signature_round_trip(void **state)
{
        const struct tpm_signature rows[] = {
            {TPM_ALG_ECDSA, HASH_TPM_SHA256, {fill, 32}, {fill, 32}, {0}},
            {TPM_ALG_RSASSA, HASH_TPM_SHA384, {0}, {0}, {fill, 256}},
            {TPM_ALG_RSAPSS, 0x7777, {0}, {0}, {fill, 512}},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                uint8_t memory[600];
                struct tpm_signature sig;
                struct err err = {0};
                struct writer w;

                writer_init_fixed(&w, memory, sizeof(memory));
                tpm_signature_put(&w, &rows[i]);
                assert_ok(tpm_signature_parse(writer_bytes(&w), &sig, &err), &err);
                assert_int_equal(sig.alg, rows[i].alg);
                assert_int_equal(sig.hash, rows[i].hash);
                assert_true(bytes_equal(sig.rsa, rows[i].rsa));
                for (size_t cut = 0; cut < w.len; cut++)
                        assert_int_equal(
                            tpm_signature_parse((struct bytes){memory, cut}, &sig, &err),
                            ERR_MALFORMED);
                assert_int_equal(tpm_signature_parse((struct bytes){memory, w.len + 1}, &sig, &err),
                                 ERR_MALFORMED);
        }
}

/* S-LEN: lengths beyond every key. */
static void signature_refuses_long_numbers(void **state)
{
        uint8_t memory[1200];
        struct tpm_signature sig;
        struct err err = {0};
        struct writer w;

        (void)state;
        writer_init_fixed(&w, memory, sizeof(memory));
        tpm_signature_put(
            &w, &(struct tpm_signature){TPM_ALG_RSASSA, HASH_TPM_SHA256, {0}, {0}, {fill, 513}});
        assert_int_equal(tpm_signature_parse(writer_bytes(&w), &sig, &err), ERR_MALFORMED);
        writer_init_fixed(&w, memory, sizeof(memory));
        tpm_signature_put(&w, &(struct tpm_signature){
                                  TPM_ALG_ECDSA, HASH_TPM_SHA256, {fill, 67}, {fill, 1}, {0}});
        assert_int_equal(tpm_signature_parse(writer_bytes(&w), &sig, &err), ERR_MALFORMED);
}

static void public_round_trip(void **state)
{
        const struct tpm_public rows[] = {
            {.type = TPM_ALG_ECC,
             .name_alg = HASH_TPM_SHA256,
             .attributes = 0x00050072,
             .sym_alg = TPM_ALG_NULL,
             .scheme = TPM_ALG_ECDSA,
             .scheme_hash = HASH_TPM_SHA256,
             .ecc_curve = TPM_ECC_NIST_P256,
             .ecc_kdf = TPM_ALG_NULL,
             .ecc_x = {fill, 32},
             .ecc_y = {fill, 32}},
            {.type = TPM_ALG_ECC,
             .name_alg = HASH_TPM_SHA384,
             .auth_policy = {fill, 48},
             .sym_alg = TPM_ALG_AES,
             .sym_bits = 256,
             .sym_mode = TPM_ALG_CFB,
             .scheme = TPM_ALG_ECDH,
             .scheme_hash = HASH_TPM_SHA384,
             .ecc_curve = TPM_ECC_NIST_P384,
             .ecc_kdf = TPM_ALG_KDF1_SP800_56A,
             .ecc_kdf_hash = HASH_TPM_SHA256,
             .ecc_x = {fill, 48},
             .ecc_y = {fill, 48}},
            {.type = TPM_ALG_RSA,
             .name_alg = HASH_TPM_SHA256,
             .auth_policy = {fill, 32},
             .sym_alg = TPM_ALG_AES,
             .sym_bits = 128,
             .sym_mode = TPM_ALG_CFB,
             .scheme = TPM_ALG_NULL,
             .rsa_bits = 2048,
             .rsa_n = {fill, 256}},
            {.type = TPM_ALG_RSA,
             .name_alg = HASH_TPM_SHA256,
             .sym_alg = TPM_ALG_NULL,
             .scheme = TPM_ALG_RSAPSS,
             .scheme_hash = HASH_TPM_SHA256,
             .rsa_bits = 4096,
             .rsa_exponent = 65537,
             .rsa_n = {fill, 512}},
        };

        (void)state;
        for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
                uint8_t memory[TPM_PUBLIC_MAX], again[TPM_PUBLIC_MAX];
                struct tpm_public public;
                struct err err = {0};
                struct writer w;
                size_t with_size = i % 2 == 1 ? 2 : 0;
                size_t len;

                writer_init_fixed(&w, memory + with_size, sizeof(memory) - with_size);
                tpm_public_put(&w, &rows[i / 2]);
                assert_int_equal(writer_check(&w), 0);
                len = w.len + with_size;
                if (with_size != 0) {
                        memory[0] = (uint8_t)(w.len >> 8);
                        memory[1] = (uint8_t)w.len;
                }
                assert_ok(tpm_public_parse((struct bytes){memory, len}, &public, &err), &err);
                writer_init_fixed(&w, again, sizeof(again));
                tpm_public_put(&w, &public);
                assert_int_equal(w.len + with_size, len);
                assert_memory_equal(again, memory + with_size, w.len);
                assert_true(bytes_equal(public.tpmt, (struct bytes){again, w.len}));
                for (size_t cut = 0; cut < len; cut++)
                        assert_int_not_equal(
                            tpm_public_parse((struct bytes){memory, cut}, &public, &err), 0);
                assert_int_not_equal(
                    tpm_public_parse((struct bytes){memory, len + 1}, &public, &err), 0);
        }
}

/* An AK of a real boot: its name as the TPM itself computed it (ak.name). */
static void names_are_the_tpms(void **state)
{
        uint8_t *ak, *want;
        size_t ak_len, want_len;
        struct tpm_public public;
        struct tpm_name name;
        struct err err = {0};

        (void)state;
        if (test_fixtures() == NULL) {
                print_message("skipped: no fixtures\n");
                skip();
        }
        ak = test_fixture("boots/good/ak.pub", &ak_len);
        want = test_fixture("boots/good/ak.name", &want_len);
        assert_ok(tpm_public_parse((struct bytes){ak, ak_len}, &public, &err), &err);
        assert_ok(tpm_name_of_public(&public, &name, &err), &err);
        assert_true(bytes_equal(tpm_name_bytes(&name), (struct bytes){want, want_len}));
        free(ak);
        free(want);
}

static void qualified_names(void **state)
{
        const struct tpm_name endorsement = tpm_name_of_handle(TPM_RH_ENDORSEMENT);
        struct tpm_name name = {.data = {0x00, 0x0b}, .len = 34};
        struct tpm_name qualified = {0};
        struct err err = {0};
        char text[2 * TPM_NAME_MAX + 1];

        (void)state;
        assert_int_equal(endorsement.len, 4);
        assert_memory_equal(endorsement.data, "\x40\x00\x00\x0b", 4);
        assert_ok(tpm_name_qualify(&endorsement, &name, &qualified, &err), &err);
        /* printf '\x40\0\0\x0b\0\x0b' plus 32 zeros | sha256sum */
        assert_string_equal(hex_encode(qualified.data, qualified.len, text),
                            "000b71d37f91fb2e303f3fb95bf81824f45dea18f9d89c11a27c3d8ecdbfdf3694a8");
        name.len = 4;
        assert_int_equal(tpm_name_qualify(&endorsement, &name, &qualified, &err), ERR_MALFORMED);
        name = (struct tpm_name){.data = {0x77, 0x77}, .len = 34};
        assert_int_equal(tpm_name_qualify(&endorsement, &name, &qualified, &err), ERR_UNSUPPORTED);
}

/* Whole or refused: each response cut anywhere, and one with something behind it. */
static void nv_responses(void **state)
{
        static const char size_hex[] = "8001"
                                       "0000002e"
                                       "00000000"
                                       "000e"
                                       "01c0000a"
                                       "000b"
                                       "22072008"
                                       "0000"
                                       "0258"
                                       "0022"
                                       "000b"
                                       "00112233445566778899aabbccddeeff";
        static const char data_hex[] = "8002"
                                       "00000018"
                                       "00000000"
                                       "00000005"
                                       "0003"
                                       "a1b2c3"
                                       "0000"
                                       "01"
                                       "0000";
        uint8_t bytes[64];
        struct bytes data = {0};
        struct err err = {0};
        uint16_t size = 0;
        size_t len = 0;

        (void)state;
        assert_int_equal(hex_decode(size_hex, strlen(size_hex), bytes, sizeof(bytes), &len), 0);
        assert_ok(response_get_nv_size((struct bytes){bytes, len}, &size, &err), &err);
        assert_int_equal(size, 0x258);
        for (size_t cut = 0; cut < len; cut++)
                assert_int_equal(response_get_nv_size((struct bytes){bytes, cut}, &size, &err),
                                 ERR_MALFORMED);
        bytes[11]++;
        assert_int_equal(response_get_nv_size((struct bytes){bytes, len}, &size, &err),
                         ERR_MALFORMED);
        assert_int_equal(hex_decode(data_hex, strlen(data_hex), bytes, sizeof(bytes), &len), 0);
        assert_ok(response_get_nv_data((struct bytes){bytes, len}, &data, &err), &err);
        assert_true(bytes_equal(data, (struct bytes){(const uint8_t *)"\xa1\xb2\xc3", 3}));
        for (size_t cut = 0; cut < len; cut++)
                assert_int_equal(response_get_nv_data((struct bytes){bytes, cut}, &data, &err),
                                 ERR_MALFORMED);
        for (size_t at = 13; at <= 15; at++) {
                bytes[at]++;
                assert_int_equal(response_get_nv_data((struct bytes){bytes, len}, &data, &err),
                                 ERR_MALFORMED);
                bytes[at]--;
                at += at == 13;
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(attest_round_trip),
            cmocka_unit_test(attest_refuses),
            cmocka_unit_test(signature_round_trip),
            cmocka_unit_test(signature_refuses_long_numbers),
            cmocka_unit_test(public_round_trip),
            cmocka_unit_test(names_are_the_tpms),
            cmocka_unit_test(qualified_names),
            cmocka_unit_test(nv_responses),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
