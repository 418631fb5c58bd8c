#include "evlog/test-machine.h"

#include <string.h>

#include "lib/test.h"

static void fill(struct test_machine *m)
{
        m->public.name_alg = HASH_TPM_SHA256;
        m->public.attributes = TPMA_OBJECT_FIXED_TPM | TPMA_OBJECT_FIXED_PARENT |
                               TPMA_OBJECT_SENSITIVE_DATA_ORIGIN | TPMA_OBJECT_USER_WITH_AUTH |
                               TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN | TPMA_OBJECT_NO_DA;
        m->public.sym_alg = TPM_ALG_NULL;
        m->public.scheme_hash = HASH_TPM_SHA256;
        m->attest.magic = TPM_GENERATED;
        m->attest.type = TPM_ST_ATTEST_QUOTE;
        m->attest.clock = (struct tpm_clock){1000, 5, 2, true};
        m->attest.firmware_version = 0x2019102300163636;
        memset(m->nonce, 0x5a, sizeof(m->nonce));
        memcpy(m->extra, m->nonce, sizeof(m->nonce));
        m->attest.extra_data = (struct bytes){m->extra, sizeof(m->nonce)};
        m->attest.quote.select.count = 1;
        m->attest.quote.select.banks[0] = (struct pcr_select_bank){HASH_TPM_SHA256, 0x7ff};
        m->n_values = 1;
        m->values[0].alg = hash_by_tpm_id(HASH_TPM_SHA256);
        m->values[0].mask = 0x7ff;
        for (unsigned pcr = 0; pcr < TPM_PCR_COUNT; pcr++)
                memset(m->values[0].values[pcr], (int)pcr + 1, 32);
        m->required = 0x7ff;
        m->signature.hash = HASH_TPM_SHA256;
}

void test_machine_init(struct test_machine *m)
{
        struct err err = {0};

        *m = (struct test_machine){0};
        assert_ok(pkey_generate_ec(PKEY_P256, &m->key, &err), &err);
        assert_ok(pkey_get_point(m->key, &m->point, &err), &err);
        fill(m);
        m->public.type = TPM_ALG_ECC;
        m->public.scheme = TPM_ALG_ECDSA;
        m->public.ecc_curve = TPM_ECC_NIST_P256;
        m->public.ecc_kdf = TPM_ALG_NULL;
        m->public.ecc_x = (struct bytes){m->point.x, m->point.size};
        m->public.ecc_y = (struct bytes){m->point.y, m->point.size};
        m->signature.alg = TPM_ALG_ECDSA;
        test_machine_measure(m);
}

void test_machine_init_rsa(struct test_machine *m)
{
        *m = (struct test_machine){0};
        test_rsa_generate(2048, &m->rsa);
        m->key = m->rsa.key;
        fill(m);
        m->public.type = TPM_ALG_RSA;
        m->public.scheme = TPM_ALG_RSASSA;
        m->public.rsa_bits = 2048;
        m->public.rsa_n = (struct bytes){m->rsa.n, m->rsa.n_len};
        m->signature.alg = TPM_ALG_RSASSA;
        test_machine_measure(m);
}

void test_machine_done(struct test_machine *m)
{
        pkey_free(m->key);
}

void test_machine_measure(struct test_machine *m)
{
        struct err err = {0};
        uint8_t memory[TPM_PUBLIC_MAX];
        struct writer w;

        writer_init_fixed(&w, memory, sizeof(memory));
        tpm_public_put(&w, &m->public);
        m->public.tpmt = writer_bytes(&w);
        assert_ok(quote_endorsement_name(&m->public, &m->signer, &err), &err);
        m->public.tpmt = (struct bytes){0};
        m->attest.qualified_signer = tpm_name_bytes(&m->signer);
        if (m->attest.type != TPM_ST_ATTEST_QUOTE)
                return;
        assert_ok(quote_pcr_digest(&m->attest.quote.select, hash_by_tpm_id(m->signature.hash),
                                   m->values, m->n_values, m->digest, &err),
                  &err);
        m->attest.quote.digest = (struct bytes){m->digest, hash_by_tpm_id(m->signature.hash)->size};
}

void test_machine_sign_bytes(struct test_machine *m)
{
        const char *hash = hash_by_tpm_id(m->signature.hash)->name;
        struct bytes message = {m->attest_bytes, m->attest_len};
        bool is_ec = pkey_type(m->key) == PKEY_EC;
        size_t size = is_ec ? pkey_coordinate_size(pkey_curve(m->key)) : 0;
        struct writer w;

        if (is_ec) {
                test_sign_ecdsa(m->key, hash, message, m->sig_memory, m->sig_memory + size);
                m->signature.r = (struct bytes){m->sig_memory, size};
                m->signature.s = (struct bytes){m->sig_memory + size, size};
        } else {
                m->signature.rsa.len = test_sign_rsa(
                    m->key, m->signature.alg == TPM_ALG_RSAPSS ? PKEY_RSA_PSS : PKEY_RSA_PKCS1,
                    hash, message, m->sig_memory);
                m->signature.rsa.data = m->sig_memory;
        }
        writer_init_fixed(&w, m->signature_bytes, sizeof(m->signature_bytes));
        tpm_signature_put(&w, &m->signature);
        assert_int_equal(writer_check(&w), 0);
        m->signature_len = w.len;
}

void test_machine_sign(struct test_machine *m)
{
        struct writer w;

        writer_init_fixed(&w, m->attest_bytes, sizeof(m->attest_bytes));
        attest_put(&w, &m->attest);
        assert_int_equal(writer_check(&w), 0);
        m->attest_len = w.len;
        writer_init_fixed(&w, m->public_bytes, sizeof(m->public_bytes));
        tpm_public_put(&w, &m->public);
        assert_int_equal(writer_check(&w), 0);
        m->public_len = w.len;
        test_machine_sign_bytes(m);
}

void test_machine_check(const struct test_machine *m, struct reasons *reasons)
{
        struct quote_key AUTO_QUOTE_KEY *key =
            quote_key_new((struct bytes){m->public_bytes, m->public_len}, reasons);
        const struct quote_request request = {
            .attest = {m->attest_bytes, m->attest_len},
            .signature = {m->signature_bytes, m->signature_len},
            .key = key,
            .nonce = {m->nonce, sizeof(m->nonce)},
            .bank = hash_by_tpm_id(HASH_TPM_SHA256),
            .required = m->required,
            .values = m->values,
            .n_values = m->n_values,
            .previous = m->has_previous ? &m->previous : NULL,
            .parent_name = m->has_parent ? &m->parent : NULL,
            .require_safe_clock = m->require_safe_clock,
        };
        struct quote_result result;

        quote_check(&request, reasons, &result);
}
