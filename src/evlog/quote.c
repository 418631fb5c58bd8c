#include "evlog/quote.h"

#include <string.h>

#include "base/hex.h"
#include "tpmwire/pubkey.h"

#define HEX_SHOWN_MAX 80 /* bytes of a nonce or digest that a reason shows */

/* Hexadecimal for messages, cut if long. */
static const char *show(struct bytes bytes, char text[2 * HEX_SHOWN_MAX + 1])
{
        if (bytes.len == 0)
                return "(empty)";
        return hex_encode(bytes.data, bytes.len < HEX_SHOWN_MAX ? bytes.len : HEX_SHOWN_MAX, text);
}

static void check_header(const struct attest *attest, struct reasons *reasons)
{
        if (attest->magic != TPM_GENERATED)
                reasons_add(reasons, "quote.magic", REASON_FAIL,
                            "the magic is 0x%08x: this was not made inside a TPM", attest->magic);
        if (attest->type != TPM_ST_ATTEST_QUOTE)
                reasons_add(reasons, "quote.type", REASON_FAIL,
                            "the attestation is of type %s, not a quote",
                            attest_type_name(attest->type));
}

static void check_nonce(const struct quote_request *request, const struct attest *attest,
                        struct reasons *reasons)
{
        char have[2 * HEX_SHOWN_MAX + 1];
        char want[2 * HEX_SHOWN_MAX + 1];

        if (request->nonce.len > 0 && bytes_equal(request->nonce, attest->extra_data))
                return;
        reasons_add(reasons, "quote.nonce", REASON_FAIL, "the qualifying data is %s instead of %s",
                    show(attest->extra_data, have), show(request->nonce, want));
}

/* ---- selection and digest ------------------------------------------------------------------- */

static const struct pcr_values *find_values(const struct pcr_values *values, size_t n_values,
                                            uint16_t hash)
{
        for (size_t i = 0; i < n_values; i++)
                if (values[i].alg->tpm_id == hash)
                        return &values[i];
        return NULL;
}

static void say_pcrs(struct reasons *reasons, uint32_t mask, const char *bank, const char *what)
{
        for (unsigned pcr = 0; pcr < TPM_PCR_COUNT; pcr++)
                if ((mask >> pcr & 1) != 0)
                        reasons_add(reasons, "quote.selection", REASON_FAIL, "%s PCR %u %s", bank,
                                    pcr, what);
}

static void check_selection(const struct quote_request *request, const struct pcr_select *select,
                            struct reasons *reasons)
{
        uint32_t all = 0;

        for (uint32_t i = 0; i < select->count; i++)
                all |= select->banks[i].mask;
        if (all == 0)
                reasons_add(reasons, "quote.selection", REASON_FAIL, "the quote covers no PCR");
        if (request->bank != NULL)
                say_pcrs(reasons,
                         request->required & ~pcr_select_mask(select, request->bank->tpm_id),
                         request->bank->name, "is needed and not covered by the quote");
        for (size_t i = 0; i < request->n_values; i++) {
                const struct pcr_values *values = &request->values[i];

                say_pcrs(reasons, values->mask & ~pcr_select_mask(select, values->alg->tpm_id),
                         values->alg->name, "is shown but not covered by the quote");
        }
}

static int hash_bank(struct hash *hash, const struct pcr_select_bank *bank,
                     const struct pcr_values *values, struct err *err)
{
        if (bank->mask == 0)
                return 0;
        if (values == NULL)
                return err_set(err, ERR_NOT_FOUND, "no values of bank 0x%04x", bank->hash);
        for (unsigned pcr = 0; pcr < TPM_PCR_COUNT; pcr++) {
                int rc;

                if ((bank->mask >> pcr & 1) == 0)
                        continue;
                if ((values->mask >> pcr & 1) == 0)
                        return err_set(err, ERR_NOT_FOUND, "no value of %s PCR %u",
                                       values->alg->name, pcr);
                rc = hash_update(hash, values->values[pcr], values->alg->size, err);
                if (rc != 0)
                        return rc;
        }
        return 0;
}

int quote_pcr_digest(const struct pcr_select *select, const struct hash_alg *alg,
                     const struct pcr_values *values, size_t n_values, uint8_t *ret_digest,
                     struct err *err)
{
        struct hash AUTO_HASH *hash = NULL;
        int rc = hash_new(alg, &hash, err);

        for (uint32_t i = 0; rc == 0 && i < select->count; i++)
                rc = hash_bank(hash, &select->banks[i],
                               find_values(values, n_values, select->banks[i].hash), err);
        return rc != 0 ? rc : hash_final(hash, ret_digest, err);
}

bool quote_explains(const struct quote_result *result, const struct pcr_values *values,
                    size_t n_values, struct reasons *reasons)
{
        struct err err = {0};
        uint8_t digest[HASH_SIZE_MAX];
        int rc;

        if (!result->is_quote || result->digest_alg == NULL)
                return false; /* quote.type, quote.malformed or key.algorithm says it */
        rc = quote_pcr_digest(&result->attest.quote.select, result->digest_alg, values, n_values,
                              digest, &err);
        if (rc == ERR_NOT_FOUND)
                reasons_add(reasons, "quote.digest", REASON_FAIL,
                            "the quoted digest cannot be recomputed: %s", err.text);
        else if (rc != 0)
                reasons_add_broken(reasons, "the quoted digest", &err);
        else if (bytes_equal((struct bytes){digest, result->digest_alg->size},
                             result->attest.quote.digest))
                return true;
        else
                reasons_add(reasons, "quote.digest", REASON_FAIL,
                            "the PCR values are not those that were quoted");
        return false;
}

/* ---- signature ------------------------------------------------------------------------------ */

/* Whether the signature uses what was agreed with the key: its scheme and that scheme's hash. */
static bool check_agreed(const struct quote_key *key, const struct tpm_signature *signature,
                         struct reasons *reasons)
{
        const struct tpm_public *public = quote_key_public(key);

        if (public == NULL ||
            (signature->alg == public->scheme && signature->hash == public->scheme_hash))
                return true;
        reasons_add(reasons, "key.algorithm", REASON_FAIL,
                    "the signature is %s with hash 0x%04x, the key's scheme %s with hash 0x%04x",
                    tpm_alg_name(signature->alg), signature->hash, tpm_alg_name(public->scheme),
                    public->scheme_hash);
        return false;
}

static void say_signature(int rc, const struct err *err, struct reasons *reasons)
{
        if (rc == ERR_MALFORMED)
                reasons_add(reasons, "quote.malformed", REASON_FAIL, "%s", err->text);
        else if (rc == ERR_UNSUPPORTED)
                reasons_add(reasons, "key.algorithm", REASON_FAIL, "%s", err->text);
        else if (rc != ERR_NOT_TRUSTED)
                reasons_add_broken(reasons, "the signature", err);
        reasons_add(reasons, "quote.signature", REASON_FAIL, "%s", err->text);
}

static void check_signature(const struct quote_request *request, struct reasons *reasons,
                            struct quote_result *result)
{
        struct tpm_signature signature;
        struct err err = {0};
        bool is_agreed = false;
        int rc = tpm_signature_parse(request->signature, &signature, &err);

        if (rc == 0) {
                result->digest_alg = hash_by_tpm_id(signature.hash);
                is_agreed = request->key != NULL && check_agreed(request->key, &signature, reasons);
                rc = request->key == NULL
                         ? err_set(&err, ERR_NOT_TRUSTED, "there is no key to verify with")
                         : pubkey_verify(quote_key_pkey(request->key), &signature, request->attest,
                                         &err);
        }
        if (rc != 0)
                say_signature(rc, &err, reasons);
        result->is_signed = rc == 0 && is_agreed;
}

/* ---- clock and signer ----------------------------------------------------------------------- */

static void check_progress(const struct tpm_clock *now, const struct tpm_clock *before,
                           struct reasons *reasons)
{
        bool same_run =
            now->reset_count == before->reset_count && now->restart_count == before->restart_count;

        /* TPM2_Clear sets resetCount to 0 (Part 1, 36.3): backwards is always worth a refusal. */
        if (now->reset_count < before->reset_count)
                reasons_add(reasons, "quote.clock", REASON_FAIL,
                            "resetCount went back from %u to %u", before->reset_count,
                            now->reset_count);
        if (now->reset_count == before->reset_count && now->restart_count < before->restart_count)
                reasons_add(reasons, "quote.clock", REASON_FAIL,
                            "restartCount went back from %u to %u", before->restart_count,
                            now->restart_count);
        /* After an unorderly end the clock may lawfully repeat; then safe is NO and resets moved.
         */
        if (now->clock < before->clock && (same_run || now->safe))
                reasons_add(reasons, "quote.clock", REASON_FAIL,
                            "the clock went back from %llu to %llu ms",
                            (unsigned long long)before->clock, (unsigned long long)now->clock);
        if (same_run && before->safe && !now->safe)
                reasons_add(reasons, "quote.clock", REASON_FAIL,
                            "the clock was safe and is not any more, without a reset");
}

static void check_clock(const struct quote_request *request, const struct tpm_clock *clock,
                        struct reasons *reasons)
{
        if (!clock->safe)
                reasons_add(reasons, "quote.clock",
                            request->require_safe_clock ? REASON_FAIL : REASON_WARNING,
                            "the TPM says that its clock may have shown a higher value before");
        if (request->previous != NULL)
                check_progress(clock, request->previous, reasons);
}

/* 1: the signer is the key under this parent, 0: it is not, negative: could not be computed. */
static int is_signer(const struct tpm_name *parent, const struct tpm_name *name,
                     struct bytes signer, struct err *err)
{
        struct tpm_name qualified;
        int rc = tpm_name_qualify(parent, name, &qualified, err);

        if (rc != 0)
                return rc;
        return bytes_equal(tpm_name_bytes(&qualified), signer) ? 1 : 0;
}

/* Under a known EK the key is its child, or a primary key beside it in the same hierarchy. */
static void check_signer(const struct quote_request *request, struct bytes signer,
                         struct reasons *reasons)
{
        const struct tpm_name *name = request->key == NULL ? NULL : quote_key_name(request->key);
        const struct tpm_name endorsement = tpm_name_of_handle(TPM_RH_ENDORSEMENT);
        struct err err = {0};
        int match;

        if (name == NULL)
                return; /* PEM or no key, both said already */
        if (signer.len != name->len || memcmp(signer.data, name->data, 2) != 0) {
                reasons_add(reasons, "quote.signer", REASON_FAIL,
                            "qualifiedSigner is no name of this key's kind");
                return;
        }
        match = is_signer(&endorsement, name, signer, &err);
        if (match == 0 && request->parent_name != NULL)
                match = is_signer(request->parent_name, name, signer, &err);
        if (match < 0)
                reasons_add_broken(reasons, "the signer", &err);
        else if (match == 0 && request->parent_name != NULL)
                reasons_add(reasons, "quote.signer", REASON_FAIL,
                            "qualifiedSigner is not this key under its known parent");
        else if (match == 0)
                reasons_add(reasons, "quote.signer", REASON_NOTE,
                            "the key's parent is not known, so qualifiedSigner was not checked");
}

int quote_endorsement_name(const struct tpm_public *public, struct tpm_name *ret_name,
                           struct err *err)
{
        const struct tpm_name endorsement = tpm_name_of_handle(TPM_RH_ENDORSEMENT);
        struct tpm_name name;
        int rc = tpm_name_of_public(public, &name, err);

        return rc != 0 ? rc : tpm_name_qualify(&endorsement, &name, ret_name, err);
}

void quote_check(const struct quote_request *request, struct reasons *reasons,
                 struct quote_result *ret_result)
{
        struct quote_result result = {0};
        struct err err = {0};
        int rc =
            request->attest.len > QUOTE_ATTEST_MAX || request->signature.len > QUOTE_SIGNATURE_MAX
                ? err_set(&err, ERR_MALFORMED, "attest or signature is too long")
                : attest_parse(request->attest, &result.attest, &err);

        if (rc != 0) {
                reasons_add(reasons, "quote.malformed", REASON_FAIL, "%s", err.text);
                *ret_result = result;
                return;
        }
        check_header(&result.attest, reasons);
        check_nonce(request, &result.attest, reasons);
        check_signature(request, reasons, &result);
        check_clock(request, &result.attest.clock, reasons);
        check_signer(request, result.attest.qualified_signer, reasons);
        result.is_quote = result.attest.type == TPM_ST_ATTEST_QUOTE;
        if (result.is_quote)
                check_selection(request, &result.attest.quote.select, reasons);
        if (request->n_values > 0)
                (void)quote_explains(&result, request->values, request->n_values, reasons);
        *ret_result = result;
}
