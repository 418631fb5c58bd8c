/*
 * The library against a real swtpm: keys, credentials, quotes, sealing, and what must not win.
 */
#include "lib/test.h"
#include "tpm/credential.h"
#include "tpm/esys.h"
#include "tpm/identity.h"
#include "tpm/nv.h"
#include "tpm/quote.h"
#include "tpm/seal.h"
#include "tpm/test-swtpm.h"

static const uint8_t qualifying[TPM_QUALIFYING_SIZE] = {1, 2, 3};

static struct tpm_key *make_ek(struct tpm *tpm)
{
        struct err err = {0};
        struct tpm_key *ek = NULL;

        assert_ok(tpm_key_create_ek(tpm, TPM_EK_ECC_P256, &ek, &err), &err);
        return ek;
}

static struct tpm_key *make_signing(const struct tpm_key *ek, const struct secret *auth)
{
        struct err err = {0};
        struct tpm_key_blobs blobs;
        struct tpm_key *key = NULL;

        assert_ok(tpm_key_create_signing(ek, auth, &blobs, &err), &err);
        assert_ok(tpm_key_load(ek, &blobs, auth, &key, &err), &err);
        return key;
}

static struct tpm_digest sha256_digest(uint8_t fill)
{
        struct tpm_digest digest = {.alg = TPM_ALG_ID_SHA256, .len = 32};

        memset(digest.data, fill, digest.len);
        return digest;
}

/* The digests that every bank of this TPM wants. */
static size_t digests_of_all_banks(struct tpm *tpm, struct tpm_digest *digests)
{
        static const uint16_t sizes[][2] = {{0x0004, 20}, {0x000B, 32}, {0x000C, 48}, {0x000D, 64}};
        struct err err = {0};
        uint16_t algs[TPM_PCR_BANKS_MAX];
        size_t n = 0;

        assert_ok(tpm_pcr_banks(tpm, algs, &n, &err), &err);
        for (size_t i = 0; i < n; i++) {
                digests[i] = sha256_digest(7);
                digests[i].alg = algs[i];
                for (size_t k = 0; k < ARRAY_SIZE(sizes); k++)
                        if (sizes[k][0] == algs[i])
                                digests[i].len = sizes[k][1];
        }
        return n;
}

static void extend(struct tpm *tpm, unsigned pcr)
{
        struct err err = {0};
        struct tpm_digest digests[TPM_PCR_BANKS_MAX];
        size_t n = digests_of_all_banks(tpm, digests);

        assert_ok(tpm_pcr_extend(tpm, pcr, digests, n, &err), &err);
}

static void starts_twice_and_counts(void **state)
{
        struct err err = {0};
        struct test_swtpm t;
        unsigned n = 99;

        (void)state;
        test_swtpm_start(&t, "starts");
        assert_ok(tpm_startup(t.tpm, &err), &err);
        assert_ok(tpm_count_loaded(t.tpm, &n, &err), &err);
        assert_int_equal(n, 0);
        test_swtpm_stop(&t);
}

static void gives_the_same_ek_each_time(void **state)
{
        static const enum tpm_ek_kind kinds[] = {TPM_EK_ECC_P256, TPM_EK_RSA_2048};
        static const uint8_t types[] = {0x23, 0x01};
        struct err err = {0};
        struct test_swtpm t;

        (void)state;
        test_swtpm_start(&t, "ek");
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                struct tpm_key *a = NULL;
                struct tpm_key *b = NULL;

                assert_ok(tpm_key_create_ek(t.tpm, kinds[i], &a, &err), &err);
                assert_ok(tpm_key_create_ek(t.tpm, kinds[i], &b, &err), &err);
                assert_int_equal(tpm_key_name(a)->len, 34);
                assert_memory_equal(tpm_key_name(a)->data, tpm_key_name(b)->data, 34);
                assert_int_equal(tpm_key_public(a)->data[3], types[i]);
                assert_memory_equal(tpm_key_public(a)->data, tpm_key_public(b)->data,
                                    tpm_key_public(a)->len);
                tpm_key_free(a);
                tpm_key_free(b);
        }
        test_swtpm_stop(&t);
}

/* objectAttributes stand behind the size, type and nameAlg of a TPM2B_PUBLIC. */
static uint32_t attributes_of(const struct tpm_key *key)
{
        const uint8_t *at = tpm_key_public(key)->data + 6;

        return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void makes_a_restricted_ak(void **state)
{
        struct test_swtpm t;
        struct tpm_key *ek;
        struct tpm_key *ak;

        (void)state;
        test_swtpm_start(&t, "ak");
        ek = make_ek(t.tpm);
        ak = make_signing(ek, NULL);
        /* fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, sign */
        assert_int_equal(attributes_of(ak), 0x00050472);
        tpm_key_free(ak);
        tpm_key_free(ek);
        test_swtpm_stop(&t);
}

static void quotes_what_the_pcrs_hold(void **state)
{
        static const struct tpm_pcr_selection selection = {TPM_ALG_ID_SHA256, 0x7FF};
        struct err err = {0};
        struct test_swtpm t;
        struct tpm_key *ek;
        struct tpm_key *ak;
        struct tpm_quote quote;
        struct tpm_pcr_values values;

        (void)state;
        test_swtpm_start(&t, "quote");
        extend(t.tpm, 10);
        ek = make_ek(t.tpm);
        ak = make_signing(ek, NULL);
        assert_ok(tpm_quote_read(ak, qualifying, &selection, &quote, &values, &err), &err);
        assert_memory_equal(quote.attest.data, "\xffTCG\x80\x18", 6);
        /* extraData follows the qualified signer's name (size 2, 34 bytes). */
        assert_memory_equal(quote.attest.data + 6 + 36 + 2, qualifying, sizeof(qualifying));
        assert_memory_equal(quote.signature.data, "\x00\x18\x00\x0b", 4);
        assert_int_equal(values.values[0].len, 32);
        assert_int_equal(values.values[10].len, 32);
        assert_int_equal(values.values[11].len, 0);
        assert_memory_not_equal(values.values[10].data, values.values[0].data, 32);
        tpm_key_free(ak);
        tpm_key_free(ek);
        test_swtpm_stop(&t);
}

/* Q-SEL-EMPTY, Q-SEL-SIZE: what cannot be quoted is refused before the TPM sees it. */
static void refuses_illegal_selections(void **state)
{
        static const struct {
                struct tpm_pcr_selection selection;
                int code;
        } rows[] = {
            {{TPM_ALG_ID_SHA256, 0}, ERR_USAGE},
            {{TPM_ALG_ID_SHA256, UINT32_C(1) << 24}, ERR_USAGE},
            {{0x0012, 1}, ERR_NOT_FOUND}, /* SM3: no such bank */
        };
        struct err err = {0};
        struct test_swtpm t;
        struct tpm_key *ek;
        struct tpm_key *ak;

        (void)state;
        test_swtpm_start(&t, "selections");
        ek = make_ek(t.tpm);
        ak = make_signing(ek, NULL);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct tpm_pcr_values values;
                struct tpm_quote quote;

                memset(&values, 0xA5, sizeof(values));
                assert_int_equal(tpm_pcr_read(t.tpm, &rows[i].selection, &values, &err) == 0, 0);
                assert_int_equal(values.alg, 0xA5A5);
                assert_int_not_equal(
                    tpm_quote_read(ak, qualifying, &rows[i].selection, &quote, &values, &err), 0);
        }
        tpm_key_free(ak);
        tpm_key_free(ek);
        test_swtpm_stop(&t);
}

/* L-BANK-UNEXT: a bank that is on and would stay behind. */
static void refuses_to_leave_a_bank_out(void **state)
{
        static const struct tpm_pcr_selection selection = {TPM_ALG_ID_SHA256, TPM_PCR(13)};
        struct err err = {0};
        struct test_swtpm t;
        struct tpm_digest digests[TPM_PCR_BANKS_MAX];
        struct tpm_pcr_values values;
        uint8_t zero[32] = {0};
        size_t n;

        (void)state;
        test_swtpm_start(&t, "banks");
        n = digests_of_all_banks(t.tpm, digests);
        assert_true(n > 1);
        assert_int_equal(tpm_pcr_extend(t.tpm, 13, digests, n - 1, &err), ERR_USAGE);
        assert_int_equal(tpm_pcr_extend(t.tpm, 24, digests, n, &err), ERR_USAGE);
        assert_ok(tpm_pcr_read(t.tpm, &selection, &values, &err), &err);
        assert_memory_equal(values.values[13].data, zero, 32);
        assert_ok(tpm_pcr_extend(t.tpm, 13, digests, n, &err), &err);
        assert_ok(tpm_pcr_read(t.tpm, &selection, &values, &err), &err);
        assert_memory_not_equal(values.values[13].data, zero, 32);
        test_swtpm_stop(&t);
}

static void certifies_the_chip_key(void **state)
{
        struct err err = {0};
        struct test_swtpm t;
        struct tpm_key *ek;
        struct tpm_key *ak;
        struct tpm_key *cek;
        struct tpm_blob attest;
        struct tpm_blob signature;

        (void)state;
        test_swtpm_start(&t, "certify");
        ek = make_ek(t.tpm);
        ak = make_signing(ek, NULL);
        cek = make_signing(ek, NULL);
        assert_ok(tpm_key_certify(cek, ak, "cek", 3, &attest, &signature, &err), &err);
        assert_memory_equal(attest.data, "\xffTCG\x80\x17", 6);
        assert_non_null(memmem(attest.data, attest.len, tpm_key_name(cek)->data, 34));
        assert_memory_equal(signature.data, "\x00\x18\x00\x0b", 4);
        assert_int_equal(tpm_key_certify(cek, ak, attest.data, 65, &attest, &signature, &err),
                         ERR_LIMIT);
        tpm_key_free(cek);
        tpm_key_free(ak);
        tpm_key_free(ek);
        test_swtpm_stop(&t);
}

static void asks_for_the_authorisation_value(void **state)
{
        static const struct tpm_pcr_selection selection = {TPM_ALG_ID_SHA256, 1};
        struct err err = {0};
        struct secret AUTO_SECRET *right = NULL;
        struct secret AUTO_SECRET *wrong = NULL;
        struct test_swtpm t;
        struct tpm_key_blobs blobs;
        struct tpm_key *ek;

        (void)state;
        test_swtpm_start(&t, "auth");
        assert_ok(secret_new_random(32, &right, &err), &err);
        assert_ok(secret_new_random(32, &wrong, &err), &err);
        ek = make_ek(t.tpm);
        assert_ok(tpm_key_create_signing(ek, right, &blobs, &err), &err);
        for (unsigned protect = 0; protect < 2; protect++) {
                const struct {
                        const struct secret *auth;
                        int code;
                } rows[] = {{right, 0}, {wrong, ERR_NOT_PERMITTED}, {NULL, ERR_NOT_PERMITTED}};

                if (protect != 0)
                        tpm_protect(t.tpm, ek);
                for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                        struct tpm_quote quote;
                        struct tpm_key *ak = NULL;

                        assert_ok(tpm_key_load(ek, &blobs, rows[i].auth, &ak, &err), &err);
                        assert_int_equal(tpm_quote(ak, qualifying, &selection, &quote, &err),
                                         rows[i].code);
                        tpm_key_free(ak);
                }
        }
        tpm_key_free(ek);
        test_swtpm_stop(&t);
}

/* K-CREATION and neighbours: a key of another TPM, or one that was touched, does not load. */
static void refuses_foreign_and_damaged_keys(void **state)
{
        struct err err = {0};
        struct test_swtpm a;
        struct test_swtpm b;
        struct tpm_key *ek_a;
        struct tpm_key *ek_b;
        struct tpm_key *key = NULL;
        struct tpm_key_blobs blobs;
        struct tpm_key_blobs cut;

        (void)state;
        test_swtpm_start(&a, "foreign-a");
        test_swtpm_start(&b, "foreign-b");
        ek_a = make_ek(a.tpm);
        ek_b = make_ek(b.tpm);
        assert_ok(tpm_key_create_signing(ek_a, NULL, &blobs, &err), &err);
        assert_int_equal(tpm_key_load(ek_b, &blobs, NULL, &key, &err), ERR_NOT_TRUSTED);
        cut = blobs;
        cut.private.data[40] ^= 1;
        assert_int_equal(tpm_key_load(ek_a, &cut, NULL, &key, &err), ERR_NOT_TRUSTED);
        for (size_t len = 0; len < blobs.public.len; len += 7) {
                cut = blobs;
                cut.public.len = len;
                assert_int_equal(tpm_key_load(ek_a, &cut, NULL, &key, &err), ERR_MALFORMED);
        }
        cut = blobs;
        cut.private.len++;
        assert_int_equal(tpm_key_load(ek_a, &cut, NULL, &key, &err), ERR_MALFORMED);
        assert_null(key);
        tpm_key_free(ek_a);
        tpm_key_free(ek_b);
        test_swtpm_stop(&a);
        test_swtpm_stop(&b);
}

static void says_what_it_is(void **state)
{
        struct tpm_identity identity;
        struct test_swtpm t;
        struct err err = {0};

        (void)state;
        test_swtpm_start(&t, "identity");
        assert_ok(tpm_identify(t.tpm, &identity, &err), &err);
        assert_string_equal(identity.manufacturer, "IBM");
        assert_int_equal(strncmp(identity.vendor, "SW", 2), 0);
        assert_null(strchr(identity.vendor, ' '));
        assert_non_null(strchr(identity.firmware, '.'));
        assert_true(identity.is_software);
        test_swtpm_stop(&t);
}

#define INDEX 0x01800001

/* An index of this size, readable by its own authorisation value or by the owner only. */
static void define(struct tpm *tpm, uint16_t size, TPMA_NV readable, const uint8_t *data)
{
        const TPM2B_AUTH none = {.size = 0};
        const TPM2B_NV_PUBLIC public = {
            .nvPublic = {.nvIndex = INDEX,
                         .nameAlg = TPM2_ALG_SHA256,
                         .attributes = TPMA_NV_OWNERWRITE | TPMA_NV_AUTHWRITE | readable,
                         .dataSize = size}};
        ESYS_TR handle = ESYS_TR_NONE;

        assert_int_equal(Esys_NV_DefineSpace(tpm->esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD,
                                             ESYS_TR_NONE, ESYS_TR_NONE, &none, &public, &handle),
                         0);
        for (size_t at = 0; at < size; at += 500) {
                TPM2B_MAX_NV_BUFFER part = {.size = (UINT16)(size - at < 500 ? size - at : 500)};

                memcpy(part.buffer, data + at, part.size);
                assert_int_equal(Esys_NV_Write(tpm->esys, handle, handle, ESYS_TR_PASSWORD,
                                               ESYS_TR_NONE, ESYS_TR_NONE, &part, (UINT16)at),
                                 0);
        }
        (void)Esys_TR_Close(tpm->esys, &handle);
}

static void undefine(struct tpm *tpm)
{
        ESYS_TR handle = ESYS_TR_NONE;

        assert_int_equal(Esys_TR_FromTPMPublic(tpm->esys, INDEX, ESYS_TR_NONE, ESYS_TR_NONE,
                                               ESYS_TR_NONE, &handle),
                         0);
        assert_int_equal(Esys_NV_UndefineSpace(tpm->esys, ESYS_TR_RH_OWNER, handle,
                                               ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE),
                         0);
}

static void reads_an_index_in_pieces(void **state)
{
        static const struct {
                uint16_t size;
                TPMA_NV readable;
        } rows[] = {{1, TPMA_NV_AUTHREAD},
                    {512, TPMA_NV_AUTHREAD},
                    {513, TPMA_NV_OWNERREAD},
                    {1300, TPMA_NV_AUTHREAD | TPMA_NV_OWNERREAD}};
        struct test_swtpm t;
        struct tpm_nv nv = {.len = 7};
        uint8_t data[1300];
        struct err err = {0};

        (void)state;
        for (size_t i = 0; i < sizeof(data); i++)
                data[i] = (uint8_t)(i * 7);
        test_swtpm_start(&t, "nv");
        assert_int_equal(tpm_nv_read(t.tpm, INDEX, &nv, &err), ERR_NOT_FOUND);
        assert_int_equal(nv.len, 7);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                define(t.tpm, rows[i].size, rows[i].readable, data);
                assert_ok(tpm_nv_read(t.tpm, INDEX, &nv, &err), &err);
                assert_int_equal(nv.len, rows[i].size);
                assert_memory_equal(nv.data, data, nv.len);
                undefine(t.tpm);
        }
        test_swtpm_stop(&t);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(starts_twice_and_counts),
            cmocka_unit_test(says_what_it_is),
            cmocka_unit_test(reads_an_index_in_pieces),
            cmocka_unit_test(gives_the_same_ek_each_time),
            cmocka_unit_test(makes_a_restricted_ak),
            cmocka_unit_test(quotes_what_the_pcrs_hold),
            cmocka_unit_test(refuses_illegal_selections),
            cmocka_unit_test(refuses_to_leave_a_bank_out),
            cmocka_unit_test(certifies_the_chip_key),
            cmocka_unit_test(asks_for_the_authorisation_value),
            cmocka_unit_test(refuses_foreign_and_damaged_keys),
        };
        return cmocka_run_group_tests_name("tpm", tests, NULL, NULL);
}
