/*
 * What the real engine signs and decrypts with libcrypto's faster ways (engine/interpose-sign.h)
 * is what the keys' public halves accept, and its keys are those that libtpms 0.9.2 makes by
 * itself.
 */
#include "base/hex.h"
#include "lib/vtpm.h"
#include "tpmwire/command.h"
#include "tpmwire/name.h"
#include "tpmwire/pubkey.h"

#define STARTUP  "80010000000c000001440000"
#define PASSWORD "00000009400000090000000000"
#define TIMES    3 /* once to fill the caches, and from them */

static struct test_vtpm v;

static int set_up(void **state)
{
        static const uint8_t seed[ENGINE_SEED_SIZE] = {1, 2, 3};
        const uint8_t init[8] = {0, 0, 0, 2};

        memset(&v, 0, sizeof(v));
        v.data = -1;
        v.control = -1;
        v.forked = *state != NULL;
        test_vtpm_spawn(&v, true);
        test_vtpm_start(&v, seed);
        test_vtpm_set_datafd(&v);
        assert_int_equal(test_vtpm_control_code(&v, init, sizeof(init), 4), 0);
        assert_int_equal(test_vtpm_command(&v, STARTUP), 0);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        test_vtpm_kill(&v);
        return 0;
}

static void run(struct bytes command)
{
        char hex[2 * ENGINE_COMMAND_MAX + 1];
        uint32_t code = test_vtpm_command(&v, hex_encode(command.data, command.len, hex));

        if (code != 0)
                fail_msg("%.28s...: 0x%x", hex, code);
}

static void run_hex(const char *hex)
{
        uint8_t command[ENGINE_COMMAND_MAX];
        size_t len = 0;

        assert_int_equal(hex_decode(hex, strlen(hex), command, sizeof(command), &len), 0);
        run((struct bytes){command, len});
}

/* Makes a primary key of this TPMT_PUBLIC and returns its public half; the handle is 0x80000000. */
static struct pkey *create(const char *public_hex, struct tpm_public *ret_public)
{
        static uint8_t kept[TPM_PUBLIC_MAX];
        char hex[1024];
        const unsigned size = (unsigned)strlen(public_hex) / 2;
        struct err err = {0};
        struct pkey *key = NULL;
        struct bytes public;
        uint32_t handle;

        (void)snprintf(hex, sizeof(hex),
                       "8002%08x000001314000000b" PASSWORD "000400000000%04x%s000000000000",
                       10 + 4 + 13 + 6 + 2 + size + 6, size, public_hex);
        run_hex(hex);
        assert_ok(response_get_primary((struct bytes){v.response, v.response_len}, &handle, &public,
                                       &err),
                  &err);
        assert_int_equal(handle, 0x80000000);
        memcpy(kept, public.data, public.len);
        assert_ok(tpm_public_parse((struct bytes){kept, public.len}, ret_public, &err), &err);
        assert_ok(pubkey_from_tpm(ret_public, &key, &err), &err);
        return key;
}

static void check_quote(const struct pkey *key, const char *name)
{
        struct reader r = reader_from(v.response, v.response_len);
        struct tpm_signature signature;
        struct bytes attest;
        struct bytes rest;
        struct err err = {0};
        uint8_t forged[1024];

        assert_int_equal(reader_skip(&r, 14), 0);
        assert_int_equal(reader_get_tpm2b(&r, 1024, &attest), 0);
        /* The response's own session follows: 5 bytes. */
        assert_int_equal(reader_get_bytes(&r, reader_left(&r) - 5, &rest), 0);
        assert_ok(tpm_signature_parse(rest, &signature, &err), &err);
        if (pubkey_verify(key, &signature, attest, &err) != 0)
                fail_msg("%s: %s", name, err.text);
        memcpy(forged, attest.data, attest.len);
        forged[attest.len - 1] ^= 1;
        assert_int_equal(pubkey_verify(key, &signature, (struct bytes){forged, attest.len}, &err),
                         ERR_NOT_TRUSTED);
}

static void quotes_verify(void **state)
{
        /* Attestation keys: restricted, without the lockout. */
        static const struct {
                const char *name;
                const char *public;
        } rows[] = {
            {"ECDSA P-256", "0023000b00050472000000100018000b0003001000000000"},
            {"ECDSA P-384", "0023000c00050472000000100018000c0004001000000000"},
            {"ECDSA P-521", "0023000d00050472000000100018000d0005001000000000"},
            {"RSASSA 2048", "0001000b00050472000000100014000b0800000000000000"},
            {"RSAPSS 2048", "0001000b00050472000000100016000b0800000000000000"},
            {"RSASSA 3072", "0001000c00050472000000100014000c0c00000000000000"},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct tpm_public public;
                struct pkey AUTO_PKEY *key = create(rows[i].public, &public);

                for (unsigned n = 0; n < TIMES; n++) {
                        run_hex("80020000002d0000015880000000" PASSWORD
                                "000401020304001000000001000b03ffffff");
                        check_quote(key, rows[i].name);
                }
                run_hex("80010000000e0000016580000000");
        }
}

static void rsa_decrypts(void **state)
{
        struct tpm_public public;
        struct pkey AUTO_PKEY *key = create("0001000b00020472000000100010080000000000"
                                            "0000",
                                            &public);
        struct err err = {0};

        (void)state;
        for (uint8_t n = 0; n < TIMES; n++) {
                const uint8_t plain[] = {'s', 'e', 'e', 'd', n};
                uint8_t cipher[PKEY_RSA_SIZE_MAX];
                char hex[1024] = "8002000001230000015980000000" PASSWORD "0100";
                size_t len = 0;

                assert_ok(
                    pkey_encrypt_oaep(key, hash_by_tpm_id(HASH_TPM_SHA256), (struct bytes){NULL, 0},
                                      (struct bytes){plain, sizeof(plain)}, cipher, &len, &err),
                    &err);
                hex_encode(cipher, len, hex + strlen(hex));
                (void)snprintf(hex + strlen(hex), sizeof(hex) - strlen(hex), "0017000b0000");
                run_hex(hex);
                assert_memory_equal(v.response + 14, "\0\5", 2);
                assert_memory_equal(v.response + 16, plain, sizeof(plain));
        }
}

/* From libtpms 0.9.2 as it is, linked without the replaced functions, for the seed of set_up(). */
static void keys_are_those_of_libtpms(void **state)
{
        static const struct {
                enum tpm_ek_kind kind;
                const char *name;
        } rows[] = {
            {TPM_EK_P256, "000b5f4a7cf635bd0ca248239c36721f5ecbe61182163159728c35091acd736d1c1e"},
            {TPM_EK_RSA2048,
             "000b391dde9147a985b394e20c30cfd0bfd6203a58b5946ea51cf460a65f207ebb05"},
            {TPM_EK_P384, "000cc2f0b284e56333f6e6fd4a9ace1cdf4d44e1d46c1d53447fe52b349341663fbdbeb7"
                          "24e1c5746ae9a90c766e63c3d003"},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                uint8_t memory[512];
                char hex[2 * TPM_NAME_MAX + 1];
                struct err err = {0};
                struct tpm_public public;
                struct tpm_name name;
                struct bytes bytes;
                struct writer w;
                uint32_t handle;

                writer_init_fixed(&w, memory, sizeof(memory));
                command_put_create_ek(&w, rows[i].kind);
                run(writer_bytes(&w));
                assert_ok(response_get_primary((struct bytes){v.response, v.response_len}, &handle,
                                               &bytes, &err),
                          &err);
                assert_ok(tpm_public_parse(bytes, &public, &err), &err);
                assert_ok(tpm_name_of_public(&public, &name, &err), &err);
                assert_string_equal(hex_encode(name.data, name.len, hex), rows[i].name);
        }
}

/* In a program of its own, and in a copy of the zygote, which has the curves already. */
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define FORKED(test)                                                                               \
        {                                                                                          \
#test "_forked", test, set_up, tear_down, &v                                       \
        }

int main(void)
{
        const struct CMUnitTest tests[] = {
            ROW(quotes_verify),    ROW(rsa_decrypts),    ROW(keys_are_those_of_libtpms),
            FORKED(quotes_verify), FORKED(rsa_decrypts), FORKED(keys_are_those_of_libtpms),
        };
        return cmocka_run_group_tests_name("signing", tests, NULL, NULL);
}
