/*
 * The sections "Quote and nonce" and "Signatures and keys" of the attack list, one row each.
 */
#include "evlog/quote.h"

#include <string.h>

#include "base/fs.h"
#include "evlog/test-machine.h"
#include "lib/test.h"

/* ---- attacks on what is signed: spoiled before signing, so the signature is always right ---- */

static void q_magic(struct test_machine *m)
{
        m->attest.magic = 0x54504d21;
}

static void q_type_nv(struct test_machine *m)
{
        struct writer w;
        static uint8_t body[256];

        /* An NV attestation whose contents are the body of a quote. */
        writer_init_fixed(&w, body, sizeof(body));
        pcr_select_put(&w, &m->attest.quote.select);
        writer_put_tpm2b(&w, m->attest.quote.digest);
        m->attest.type = TPM_ST_ATTEST_NV;
        m->attest.body = writer_bytes(&w);
}

static void q_type_time(struct test_machine *m)
{
        q_type_nv(m);
        m->attest.type = TPM_ST_ATTEST_TIME;
}

static void q_type_creation(struct test_machine *m)
{
        q_type_nv(m);
        m->attest.type = TPM_ST_ATTEST_CREATION;
}

static void q_type_certify(struct test_machine *m)
{
        m->attest.type = TPM_ST_ATTEST_CERTIFY;
        m->attest.certify.name = tpm_name_bytes(&m->signer);
        m->attest.certify.qualified_name = tpm_name_bytes(&m->signer);
}

static void q_sel_swap(struct test_machine *m)
{
        /* The quote is over 16 and 23; the attacker shows the values as those of 0 and 7. */
        struct err err = {0};

        m->values[0].mask = 1 << 16 | 1 << 23;
        m->attest.quote.select.banks[0].mask = m->values[0].mask;
        assert_ok(quote_pcr_digest(&m->attest.quote.select, m->values[0].alg, m->values, 1,
                                   m->digest, &err),
                  &err);
        memcpy(m->values[0].values[0], m->values[0].values[16], 32);
        memcpy(m->values[0].values[7], m->values[0].values[23], 32);
        m->values[0].mask = 1 << 0 | 1 << 7;
        m->required = 0;
}

static void q_sel_empty(struct test_machine *m)
{
        m->attest.quote.select.banks[0].mask = 0;
        m->values[0].mask = 0;
        m->required = 0;
        test_machine_measure(m);
}

static void q_sel_none(struct test_machine *m)
{
        m->attest.quote.select.count = 0;
        m->values[0].mask = 0;
        m->n_values = 0;
        m->required = 0;
        test_machine_measure(m);
}

static void q_sel_partial(struct test_machine *m)
{
        m->attest.quote.select.banks[0].mask = 0x0ff;
        test_machine_measure(m);
        m->required = 0x0ff;
}

static void q_sel_omit(struct test_machine *m)
{
        m->attest.quote.select.banks[0].mask = 0x6ff;
        m->values[0].mask = 0x6ff;
        test_machine_measure(m);
}

static void q_bank_swap(struct test_machine *m)
{
        m->attest.quote.select.banks[0].hash = HASH_TPM_SHA1;
}

static void q_bank_unknown(struct test_machine *m)
{
        m->attest.quote.select.banks[0].hash = 0x7777;
}

static void q_bank_beside(struct test_machine *m)
{
        /* SHA-1 is quoted as well; its values are not shown, so the digest cannot be explained. */
        m->attest.quote.select.count = 2;
        m->attest.quote.select.banks[1] = (struct pcr_select_bank){HASH_TPM_SHA1, 1};
}

static void q_bank_twice(struct test_machine *m)
{
        m->attest.quote.select.count = 2;
        m->attest.quote.select.banks[1] = m->attest.quote.select.banks[0];
}

static void q_nonce_missing(struct test_machine *m)
{
        m->attest.extra_data.len = 0;
}

static void q_nonce_prefix(struct test_machine *m)
{
        m->attest.extra_data.len = 31;
}

static void q_nonce_longer(struct test_machine *m)
{
        m->attest.extra_data.len = 33;
}

static void q_nonce_hex(struct test_machine *m)
{
        for (size_t i = 0; i < 32; i++)
                memcpy(m->extra + 2 * i, "5a", 2);
        m->attest.extra_data.len = 64;
}

static void q_nonce_bit(struct test_machine *m)
{
        m->extra[31] ^= 1;
}

static void q_replay(struct test_machine *m)
{
        memset(m->extra, 0x11, 32); /* the quote of an earlier challenge */
}

static void q_clock_back(struct test_machine *m)
{
        m->has_previous = true;
        m->previous = m->attest.clock;
        m->previous.clock++;
}

static void q_clock_reset_back(struct test_machine *m)
{
        m->has_previous = true;
        m->previous = m->attest.clock;
        m->previous.reset_count++;
}

static void q_clock_restart_back(struct test_machine *m)
{
        m->has_previous = true;
        m->previous = m->attest.clock;
        m->previous.restart_count++;
}

static void q_clock_wrap(struct test_machine *m)
{
        m->has_previous = true;
        m->previous = m->attest.clock;
        m->previous.reset_count = UINT32_MAX;
        m->attest.clock.reset_count = 0;
}

static void q_clock_wrap_restart(struct test_machine *m)
{
        m->has_previous = true;
        m->previous = m->attest.clock;
        m->previous.restart_count = UINT32_MAX;
        m->attest.clock.restart_count = 0;
}

static void q_clock_wrap_clock(struct test_machine *m)
{
        m->has_previous = true;
        m->previous = m->attest.clock;
        m->previous.clock = UINT64_MAX;
}

static void q_clock_back_after_reset(struct test_machine *m)
{
        /* After an orderly reset the clock goes on: safe says so, and it must be true. */
        m->has_previous = true;
        m->previous = m->attest.clock;
        m->previous.clock = 2000;
        m->attest.clock.reset_count++;
}

static void q_clock_unsafe(struct test_machine *m)
{
        m->attest.clock.safe = false;
        m->require_safe_clock = true;
}

static void q_clock_unsafe_since(struct test_machine *m)
{
        m->has_previous = true;
        m->previous = m->attest.clock;
        m->attest.clock.safe = false;
}

static void q_signer_other(struct test_machine *m)
{
        static uint8_t other[34] = {0x00, 0x0b, 0x99};

        m->has_parent = true;
        m->parent = m->signer;
        m->attest.qualified_signer = (struct bytes){other, sizeof(other)};
}

static void q_signer_alg(struct test_machine *m)
{
        static uint8_t other[34] = {0x00, 0x12};

        m->attest.qualified_signer = (struct bytes){other, sizeof(other)};
}

static void q_signer_handle(struct test_machine *m)
{
        m->attest.qualified_signer.len = 4;
}

static void q_signer_none(struct test_machine *m)
{
        m->attest.qualified_signer.len = 0;
}

static void q_digest_altered(struct test_machine *m)
{
        m->values[0].values[4][31] ^= 1;
}

static void q_digest_split(struct test_machine *m)
{
        /* The same bytes, one bit further down: 8..10 instead of 0..2 cannot be told by length. */
        m->attest.quote.select.banks[0].mask = 0x700;
        m->required = 0x700;
        m->values[0].mask = 0x700;
        memcpy(m->values[0].values[8], m->values[0].values[9], 32);
}

static void q_digest_size(struct test_machine *m)
{
        m->attest.quote.digest.len = 31;
}

static void q_digest_none(struct test_machine *m)
{
        m->attest.quote.digest.len = 0;
}

static void q_digest_missing_value(struct test_machine *m)
{
        m->values[0].mask = 0x7fe;
}

static void k_unrestricted(struct test_machine *m)
{
        m->public.attributes &= ~TPMA_OBJECT_RESTRICTED;
}

static void k_export_tpm(struct test_machine *m)
{
        m->public.attributes &= ~TPMA_OBJECT_FIXED_TPM;
}

static void k_export_parent(struct test_machine *m)
{
        m->public.attributes &= ~TPMA_OBJECT_FIXED_PARENT;
}

static void k_import(struct test_machine *m)
{
        m->public.attributes &= ~TPMA_OBJECT_SENSITIVE_DATA_ORIGIN;
}

static void k_decrypt(struct test_machine *m)
{
        m->public.attributes |= TPMA_OBJECT_DECRYPT;
}

static void k_no_sign(struct test_machine *m)
{
        m->public.attributes &= ~TPMA_OBJECT_SIGN;
}

static void k_reserved(struct test_machine *m)
{
        m->public.attributes |= 1;
}

static void k_scheme(struct test_machine *m)
{
        m->public.scheme = TPM_ALG_NULL;
}

static void k_scheme_other(struct test_machine *m)
{
        m->public.scheme = TPM_ALG_RSASSA;
}

static void k_curve(struct test_machine *m)
{
        m->public.ecc_curve = 0x0002; /* NIST P-224 */
}

static void k_curve_bn(struct test_machine *m)
{
        m->public.ecc_curve = 0x0010; /* BN P256 */
}

static void k_off_curve(struct test_machine *m)
{
        m->point.x[0] ^= 1;
}

static void k_name_alg(struct test_machine *m)
{
        m->public.name_alg = HASH_TPM_SHA1;
}

static void k_name_alg_null(struct test_machine *m)
{
        m->public.name_alg = TPM_ALG_NULL;
}

static void k_keyedhash(struct test_machine *m)
{
        m->public.type = TPM_ALG_KEYEDHASH;
}

static void s_hash_agreed(struct test_machine *m)
{
        m->public.scheme_hash = HASH_TPM_SHA384;
}

static void s_hash_down(struct test_machine *m)
{
        m->signature.hash = HASH_TPM_SHA1;
        test_machine_measure(m);
}

static void s_hash_down_both(struct test_machine *m)
{
        m->public.scheme_hash = HASH_TPM_SHA1;
        s_hash_down(m);
}

struct attack {
        const char *name;
        void (*spoil)(struct test_machine *m);
        const char *want;
};

static const struct attack signed_attacks[] = {
    {"Q-MAGIC", q_magic, "quote.magic"},
    {"Q-TYPE nv", q_type_nv, "quote.type"},
    {"Q-TYPE time", q_type_time, "quote.type"},
    {"Q-TYPE creation", q_type_creation, "quote.type"},
    {"Q-TYPE certify", q_type_certify, "quote.type"},
    {"Q-SEL-SWAP", q_sel_swap, "quote.selection"},
    {"Q-SEL-EMPTY", q_sel_empty, "quote.selection"},
    {"Q-SEL-EMPTY no bank", q_sel_none, "quote.selection"},
    {"Q-SEL-PARTIAL", q_sel_partial, "quote.selection"},
    {"Q-SEL-OMIT", q_sel_omit, "quote.selection"},
    {"Q-BANK-SWAP", q_bank_swap, "quote.selection"},
    {"Q-BANK-SWAP unknown bank", q_bank_unknown, "quote.selection"},
    {"Q-BANK-SWAP second bank", q_bank_beside, "quote.digest"},
    {"Q-BANK-SWAP bank twice", q_bank_twice, "quote.malformed"},
    {"Q-NONCE missing", q_nonce_missing, "quote.nonce"},
    {"Q-NONCE prefix", q_nonce_prefix, "quote.nonce"},
    {"Q-NONCE longer", q_nonce_longer, "quote.nonce"},
    {"Q-NONCE other encoding", q_nonce_hex, "quote.nonce"},
    {"Q-NONCE one bit", q_nonce_bit, "quote.nonce"},
    {"Q-REPLAY", q_replay, "quote.nonce"},
    {"Q-REPLAY older after newer", q_clock_back, "quote.clock"},
    {"Q-CLOCK reset", q_clock_reset_back, "quote.clock"},
    {"Q-CLOCK restart", q_clock_restart_back, "quote.clock"},
    {"Q-CLOCK wrap-around", q_clock_wrap, "quote.clock"},
    {"Q-CLOCK wrap-around of restart", q_clock_wrap_restart, "quote.clock"},
    {"Q-CLOCK wrap-around of clock", q_clock_wrap_clock, "quote.clock"},
    {"Q-CLOCK back over a reset", q_clock_back_after_reset, "quote.clock"},
    {"Q-CLOCK safe = 0", q_clock_unsafe, "quote.clock"},
    {"Q-CLOCK safe lost", q_clock_unsafe_since, "quote.clock"},
    {"Q-SIGNER", q_signer_other, "quote.signer"},
    {"Q-SIGNER other algorithm", q_signer_alg, "quote.signer"},
    {"Q-SIGNER a handle", q_signer_handle, "quote.signer"},
    {"Q-SIGNER empty", q_signer_none, "quote.signer"},
    {"Q-DIGEST one value", q_digest_altered, "quote.digest"},
    {"Q-DIGEST split differently", q_digest_split, "quote.digest"},
    {"Q-DIGEST shorter", q_digest_size, "quote.digest"},
    {"Q-DIGEST empty", q_digest_none, "quote.digest"},
    {"Q-DIGEST value missing", q_digest_missing_value, "quote.digest"},
    {"K-UNRESTRICTED", k_unrestricted, "key.attributes"},
    {"K-EXPORT fixedTPM", k_export_tpm, "key.attributes"},
    {"K-EXPORT fixedParent", k_export_parent, "key.attributes"},
    {"K-IMPORT", k_import, "key.attributes"},
    {"K-DECRYPT", k_decrypt, "key.attributes"},
    {"K-DECRYPT no sign", k_no_sign, "key.attributes"},
    {"K reserved attribute", k_reserved, "key.malformed"},
    {"K-SCHEME", k_scheme, "key.algorithm"},
    {"K-SCHEME of another type", k_scheme_other, "key.algorithm"},
    {"K-SMALL weak curve", k_curve, "key.malformed"},
    {"K-SMALL pairing curve", k_curve_bn, "key.malformed"},
    {"K-SMALL off the curve", k_off_curve, "key.malformed"},
    {"K name algorithm", k_name_alg, "key.algorithm"},
    {"K name algorithm NULL", k_name_alg_null, "key.malformed"},
    {"K no key at all", k_keyedhash, "key.malformed"},
    {"S-HASH-DOWN", s_hash_down, "key.algorithm"},
    {"S-HASH-DOWN agreed", s_hash_down_both, "key.algorithm"},
    {"S-HASH not the agreed one", s_hash_agreed, "key.algorithm"},
};

static void expect(const char *name, const struct reasons *reasons, const char *want)
{
        if (reasons_find(reasons, want) == NULL)
                fail_msg("%s: no %s, but %zu reasons, first %s: %s", name, want, reasons->count,
                         reasons->count == 0 ? "-" : reasons->items[0].id,
                         reasons->count == 0 ? "-" : reasons->items[0].text);
}

static void refuses_what_was_signed(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(signed_attacks); i++) {
                struct test_machine m;
                struct reasons reasons = {0};

                test_machine_init(&m);
                signed_attacks[i].spoil(&m);
                test_machine_sign(&m);
                test_machine_check(&m, &reasons);
                expect(signed_attacks[i].name, &reasons, signed_attacks[i].want);
                /* The signature is over these very bytes: where it could be checked, it is right.
                 */
                if (strncmp(signed_attacks[i].name, "Q-", 2) == 0 &&
                    reasons_find(&reasons, "quote.malformed") == NULL)
                        assert_null(reasons_find(&reasons, "quote.signature"));
                test_machine_done(&m);
        }
}

/* ---- the good ones: the rows above can fail ------------------------------------------------- */

static void good_child(struct test_machine *m)
{
        struct err err = {0};
        struct tpm_name name = {0};
        uint8_t memory[TPM_PUBLIC_MAX];
        struct writer w;

        m->has_parent = true;
        m->parent = m->signer; /* any qualified name serves as the parent's */
        writer_init_fixed(&w, memory, sizeof(memory));
        tpm_public_put(&w, &m->public);
        m->public.tpmt = writer_bytes(&w);
        assert_ok(tpm_name_of_public(&m->public, &name, &err), &err);
        assert_ok(tpm_name_qualify(&m->parent, &name, &m->signer, &err), &err);
        m->attest.qualified_signer = tpm_name_bytes(&m->signer);
}

static void good_progress(struct test_machine *m)
{
        m->has_previous = true;
        m->previous = m->attest.clock;
        m->previous.clock--;
}

static void good_unorderly_reset(struct test_machine *m)
{
        m->has_previous = true;
        m->previous = m->attest.clock;
        m->previous.clock = 9000;
        m->attest.clock.reset_count++;
        m->attest.clock.restart_count = 0;
        m->attest.clock.safe = false;
}

static void good_two_banks(struct test_machine *m)
{
        m->attest.quote.select.count = 2;
        m->attest.quote.select.banks[1] = (struct pcr_select_bank){HASH_TPM_SHA1, 0x80000f};
        m->n_values = 2;
        m->values[1] = m->values[0];
        m->values[1].alg = hash_by_tpm_id(HASH_TPM_SHA1);
        m->values[1].mask = 0x80000f;
        test_machine_measure(m);
}

static void good_as_it_is(struct test_machine *m)
{
        (void)m;
}

static void accepts_good_quotes(void **state)
{
        static const struct {
                const char *name;
                void (*change)(struct test_machine *m);
        } rows[] = {
            {"plain", good_as_it_is},         {"child of a known EK", good_child},
            {"clock goes on", good_progress}, {"unorderly reset", good_unorderly_reset},
            {"two banks", good_two_banks},
        };

        (void)state;
        for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
                struct test_machine m;
                struct reasons reasons = {0};

                if (i % 2 == 0)
                        test_machine_init(&m);
                else
                        test_machine_init_rsa(&m);
                rows[i / 2].change(&m);
                test_machine_sign(&m);
                test_machine_check(&m, &reasons);
                if (reasons_failed(&reasons))
                        fail_msg("%s: %s: %s", rows[i / 2].name, reasons.items[0].id,
                                 reasons.items[0].text);
                test_machine_done(&m);
        }
}

/* ---- attacks on RSA ------------------------------------------------------------------------- */

static void s_pss(struct test_machine *m)
{
        m->signature.alg = TPM_ALG_RSAPSS;
}

static void s_pkcs1(struct test_machine *m)
{
        m->public.scheme = TPM_ALG_RSAPSS;
}

static void k_small_exponent(struct test_machine *m)
{
        m->public.rsa_exponent = 1;
}

static void k_small_bits(struct test_machine *m)
{
        m->public.rsa_bits = 1024;
        m->public.rsa_n.len = 128;
}

static void k_bits_disagree(struct test_machine *m)
{
        m->public.rsa_bits = 4096;
}

static void k_oaep(struct test_machine *m)
{
        m->public.scheme = TPM_ALG_OAEP;
}

static void refuses_rsa_attacks(void **state)
{
        static const struct attack rows[] = {
            {"S-PSS", s_pss, "key.algorithm"},
            {"S-PSS reverse", s_pkcs1, "key.algorithm"},
            {"K-SMALL e = 1", k_small_exponent, "key.malformed"},
            {"K-SMALL RSA-1024", k_small_bits, "key.malformed"},
            {"K keyBits disagree", k_bits_disagree, "key.malformed"},
            {"K-SCHEME OAEP", k_oaep, "key.algorithm"},
            {"K-SCHEME", k_scheme, "key.algorithm"},
            {"S-HASH-DOWN", s_hash_down, "key.algorithm"},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct test_machine m;
                struct reasons reasons = {0};

                test_machine_init_rsa(&m);
                rows[i].spoil(&m);
                test_machine_sign(&m);
                test_machine_check(&m, &reasons);
                expect(rows[i].name, &reasons, rows[i].want);
                test_machine_done(&m);
        }
}

/* ---- attacks on the bytes ------------------------------------------------------------------- */

/* Q-TRUNC: cut everywhere, signed as it then is. */
static void refuses_every_cut(void **state)
{
        struct test_machine m;
        size_t whole;

        (void)state;
        test_machine_init(&m);
        test_machine_sign(&m);
        whole = m.attest_len;
        for (size_t len = 0; len < whole; len++) {
                struct reasons reasons = {0};

                m.attest_len = len;
                test_machine_sign_bytes(&m);
                test_machine_check(&m, &reasons);
                if (reasons_find(&reasons, "quote.malformed") == NULL)
                        fail_msg("cut at %zu of %zu", len, whole);
        }
        {
                struct reasons reasons = {0};

                m.attest_len = whole + 1;
                test_machine_sign_bytes(&m);
                test_machine_check(&m, &reasons);
                expect("one byte more", &reasons, "quote.malformed");
        }
        test_machine_done(&m);
}

/* Q-SEL-SIZE: the byte that gives sizeofSelect, and the list's count. */
static void refuses_selection_sizes(void **state)
{
        static const uint8_t sizes[] = {0, 1, 2, 4, 255};
        struct test_machine m;
        size_t count_at;

        (void)state;
        test_machine_init(&m);
        test_machine_sign(&m);
        count_at = m.attest_len - 34 - 6 - 4;
        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
                struct reasons reasons = {0};

                m.attest_bytes[count_at + 4 + 2] = sizes[i];
                test_machine_sign_bytes(&m);
                test_machine_check(&m, &reasons);
                expect("Q-SEL-SIZE", &reasons, "quote.malformed");
        }
        m.attest_bytes[count_at + 4 + 2] = 3;
        for (unsigned i = 0; i < 3; i++) {
                static const uint32_t counts[] = {UINT32_MAX, 2, 17};
                struct reasons reasons = {0};

                for (unsigned b = 0; b < 4; b++)
                        m.attest_bytes[count_at + b] = (uint8_t)(counts[i] >> (24 - 8 * b));
                test_machine_sign_bytes(&m);
                test_machine_check(&m, &reasons);
                expect("Q-SEL-SIZE count", &reasons, "quote.malformed");
        }
        test_machine_done(&m);
}

static void put16(uint8_t *p, unsigned v)
{
        p[0] = (uint8_t)(v >> 8);
        p[1] = (uint8_t)v;
}

static void s_alg_rsa(struct test_machine *m)
{
        put16(m->signature_bytes, TPM_ALG_RSASSA);
}

static void s_alg_null(struct test_machine *m)
{
        put16(m->signature_bytes, TPM_ALG_NULL);
        m->signature_len = 2;
}

static void s_alg_hmac(struct test_machine *m)
{
        put16(m->signature_bytes, TPM_ALG_HMAC);
}

static void s_alg_ecdaa(struct test_machine *m)
{
        put16(m->signature_bytes, TPM_ALG_ECDAA);
}

static void s_alg_schnorr(struct test_machine *m)
{
        put16(m->signature_bytes, TPM_ALG_ECSCHNORR);
}

static void s_len_larger(struct test_machine *m)
{
        put16(m->signature_bytes + 4, 0xffff);
}

static void s_len_smaller(struct test_machine *m)
{
        put16(m->signature_bytes + 4, 31);
}

static void s_len_zero(struct test_machine *m)
{
        put16(m->signature_bytes + 4, 0);
}

static void s_len_cut(struct test_machine *m)
{
        m->signature_len--;
}

static void s_len_more(struct test_machine *m)
{
        m->signature_len++;
}

static void s_len_none(struct test_machine *m)
{
        m->signature_len = 0;
}

static void s_bit(struct test_machine *m)
{
        m->signature_bytes[20] ^= 1;
}

static void s_zero(struct test_machine *m)
{
        memset(m->signature_bytes + 6, 0, 32);
        memset(m->signature_bytes + 40, 0, 32);
}

static void attest_bit(struct test_machine *m)
{
        m->attest_bytes[20] ^= 1;
}

static void k_other_key(struct test_machine *m)
{
        struct test_machine other;

        test_machine_init(&other);
        test_machine_sign(&other);
        memcpy(m->public_bytes, other.public_bytes, other.public_len);
        test_machine_done(&other);
}

static void k_cut(struct test_machine *m)
{
        m->public_len--;
}

static void k_none(struct test_machine *m)
{
        m->public_len = 0;
}

static void refuses_spoiled_bytes(void **state)
{
        static const struct attack rows[] = {
            {"S-ALG RSA structure, ECC key", s_alg_rsa, "quote.signature"},
            {"S-ALG NULL", s_alg_null, "key.algorithm"},
            {"S-ALG HMAC", s_alg_hmac, "key.algorithm"},
            {"S-ALG ECDAA", s_alg_ecdaa, "key.algorithm"},
            {"S-ALG ECSCHNORR", s_alg_schnorr, "key.algorithm"},
            {"S-LEN larger", s_len_larger, "quote.malformed"},
            {"S-LEN smaller", s_len_smaller, "quote.malformed"},
            {"S-LEN zero", s_len_zero, "quote.malformed"},
            {"S-LEN cut", s_len_cut, "quote.malformed"},
            {"S-LEN more", s_len_more, "quote.malformed"},
            {"S-LEN nothing", s_len_none, "quote.malformed"},
            {"S one bit", s_bit, "quote.signature"},
            {"S zeros", s_zero, "quote.signature"},
            {"attest one bit", attest_bit, "quote.signature"},
            {"Q-SIGNER another key", k_other_key, "quote.signature"},
            {"K-TOCTOU another key's name", k_other_key, "quote.signature"},
            {"K cut", k_cut, "key.malformed"},
            {"K nothing", k_none, "key.malformed"},
            {"V-EXC no key is no pass", k_none, "quote.signature"},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct test_machine m;
                struct reasons reasons = {0};

                test_machine_init(&m);
                test_machine_sign(&m);
                rows[i].spoil(&m);
                test_machine_check(&m, &reasons);
                expect(rows[i].name, &reasons, rows[i].want);
                assert_true(reasons_failed(&reasons));
                test_machine_done(&m);
        }
}

/* S-ALG the reverse: an ECDSA structure under an RSA key. */
static void refuses_ecdsa_under_rsa(void **state)
{
        struct test_machine rsa, ecc;
        struct reasons reasons = {0};

        (void)state;
        test_machine_init_rsa(&rsa);
        test_machine_init(&ecc);
        test_machine_sign(&rsa);
        test_machine_sign(&ecc);
        memcpy(rsa.signature_bytes, ecc.signature_bytes, ecc.signature_len);
        rsa.signature_len = ecc.signature_len;
        test_machine_check(&rsa, &reasons);
        expect("S-ALG", &reasons, "key.algorithm");
        expect("S-ALG", &reasons, "quote.signature");
        test_machine_done(&rsa);
        test_machine_done(&ecc);
}

/* Everything wrong at once: every check speaks. */
static void collects_all_failures(void **state)
{
        static const char *const want[] = {"quote.magic",    "quote.nonce",  "quote.signature",
                                           "quote.clock",    "quote.signer", "quote.selection",
                                           "key.attributes", "quote.digest"};
        struct test_machine m;
        struct reasons reasons = {0};

        (void)state;
        test_machine_init(&m);
        q_magic(&m);
        q_nonce_bit(&m);
        q_clock_back(&m);
        q_signer_other(&m);
        q_digest_altered(&m);
        k_unrestricted(&m);
        m.required = 0xfff;
        test_machine_sign(&m);
        s_bit(&m);
        test_machine_check(&m, &reasons);
        for (size_t i = 0; i < ARRAY_SIZE(want); i++)
                expect("all at once", &reasons, want[i]);
        test_machine_done(&m);
}

static void pem_says_what_it_cannot(void **state)
{
        struct test_machine m;
        struct reasons reasons = {0};
        struct err err = {0};
        char AUTO_FREE *pem = NULL;

        (void)state;
        test_machine_init(&m);
        test_machine_sign(&m);
        assert_ok(pkey_to_public_pem(m.key, &pem, &err), &err);
        m.public_len = strlen(pem);
        memcpy(m.public_bytes, pem, m.public_len);
        test_machine_check(&m, &reasons);
        assert_false(reasons_failed(&reasons));
        assert_int_equal(reasons.worst, REASON_WARNING);
        assert_string_equal(reasons.items[0].id, "key.attributes");
        test_machine_done(&m);
}

static void reasons_remember(void **state)
{
        static struct reasons reasons;

        (void)state;
        for (size_t i = 0; i < REASONS_MAX; i++)
                reasons_add(&reasons, "quote.clock", REASON_NOTE, "note %zu", i);
        reasons_add(&reasons, "quote.magic", REASON_FAIL, "too late for the list");
        assert_int_equal(reasons.count, REASONS_MAX);
        assert_int_equal(reasons.dropped, 1);
        assert_true(reasons_failed(&reasons));
        reasons = (struct reasons){0};
        reasons_add(&reasons, "no.such.id", REASON_FAIL, "a\x1b[31m\nb");
        assert_string_equal(reasons.items[0].id, "check.failed");
        assert_string_equal(reasons.items[0].text, "a?[31m?b");
        for (size_t i = 0; reason_id_at(i) != NULL; i++)
                assert_non_null(reason_help(reason_id_at(i)));
}

/* doc/reasons.md lists every id with its meaning as reason.def has it. */
static void reasons_are_documented(void **state)
{
        const char *source = getenv("CATENA_SOURCE");
        struct err err = {0};
        uint8_t AUTO_FREE *page = NULL;
        size_t len = 0;
        char path[4096];

        (void)state;
        if (source == NULL)
                skip();
        assert_ok(fs_join(path, sizeof(path), source, "doc/reasons.md", &err), &err);
        assert_ok(fs_read_file(path, 1 << 20, &page, &len, &err), &err);
        for (size_t i = 0; reason_id_at(i) != NULL; i++) {
                char row[1024];

                (void)snprintf(row, sizeof(row), "| `%s` | %s |", reason_id_at(i),
                               reason_help(reason_id_at(i)));
                if (strstr((const char *)page, row) == NULL)
                        fail_msg("doc/reasons.md lacks %s", row);
        }
}

/* The five real boots: their quotes hold, with the PCR values read by the guest. */
static void parse_pcrs(const char *text, struct pcr_values *ret_values)
{
        *ret_values = (struct pcr_values){.alg = hash_by_name("sha256"), .mask = 0x7ff};
        for (unsigned pcr = 0; pcr <= 10; pcr++) {
                unsigned number;
                char digits[65];

                assert_int_equal(sscanf(text, " %u %64s", &number, digits), 2);
                assert_int_equal(number, pcr);
                for (size_t i = 0; i < 32; i++) {
                        unsigned byte;

                        assert_int_equal(sscanf(digits + 2 * i, "%2x", &byte), 1);
                        ret_values->values[pcr][i] = (uint8_t)byte;
                }
                text = strchr(text, '\n') + 1;
        }
}

static void checks_real_quotes(void **state)
{
        static const char *const boots[] = {"good", "kernel", "cmdline", "ovmf-direct",
                                            "seabios-direct"};

        (void)state;
        if (test_fixtures() == NULL) {
                print_message("skipped: no fixtures\n");
                skip();
        }
        for (size_t i = 0; i < ARRAY_SIZE(boots); i++) {
                static const uint8_t nonce[] = "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb"
                                               "\xcc\xdd\xee\xff\x01\x23\x45\x67\x89\xab\xcd\xef"
                                               "\x01\x23\x45\x67\x89\xab\xcd\xef";
                static const char *const files[] = {"quote.attest", "quote.sig", "ak.pub", "ek.pub",
                                                    "pcrs.sha256.txt"};
                struct bytes bytes[ARRAY_SIZE(files)];
                uint8_t *memory[ARRAY_SIZE(files)];
                struct reasons reasons = {0};
                struct err err = {0};
                struct tpm_public ek;
                struct tpm_name parent;
                struct pcr_values values;
                struct quote_result result;
                struct quote_key *key;

                for (size_t f = 0; f < ARRAY_SIZE(files); f++) {
                        char path[128];

                        (void)snprintf(path, sizeof(path), "boots/%s/%s", boots[i], files[f]);
                        memory[f] = test_fixture(path, &bytes[f].len);
                        bytes[f].data = memory[f];
                }
                assert_ok(tpm_public_parse(bytes[3], &ek, &err), &err);
                assert_ok(quote_endorsement_name(&ek, &parent, &err), &err);
                parse_pcrs((const char *)bytes[4].data, &values);
                key = quote_key_new(bytes[2], &reasons);
                quote_check(&(struct quote_request){.attest = bytes[0],
                                                    .signature = bytes[1],
                                                    .key = key,
                                                    .nonce = {nonce, 32},
                                                    .bank = values.alg,
                                                    .required = 0x7ff,
                                                    .values = &values,
                                                    .n_values = 1,
                                                    .parent_name = &parent},
                            &reasons, &result);
                if (reasons_failed(&reasons))
                        fail_msg("%s: %s: %s", boots[i], reasons.items[0].id,
                                 reasons.items[0].text);
                assert_true(result.is_quote && result.is_signed);
                quote_key_free(key);
                for (size_t f = 0; f < ARRAY_SIZE(files); f++)
                        free(memory[f]);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(accepts_good_quotes),     cmocka_unit_test(refuses_what_was_signed),
            cmocka_unit_test(refuses_rsa_attacks),     cmocka_unit_test(refuses_every_cut),
            cmocka_unit_test(refuses_selection_sizes), cmocka_unit_test(refuses_spoiled_bytes),
            cmocka_unit_test(refuses_ecdsa_under_rsa), cmocka_unit_test(collects_all_failures),
            cmocka_unit_test(pem_says_what_it_cannot), cmocka_unit_test(reasons_remember),
            cmocka_unit_test(reasons_are_documented),  cmocka_unit_test(checks_real_quotes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
