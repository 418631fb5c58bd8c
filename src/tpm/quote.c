#include "tpm/quote.h"

#include <string.h>

#include "tpm/marshal.h"
#include "tpm/selection.h"
#include "tpm/session.h"

#define QUOTE_TRIES 4

int tpm_quote(const struct tpm_key *key, const uint8_t qualifying[TPM_QUALIFYING_SIZE],
              const struct tpm_pcr_selection *selection, struct tpm_quote *ret_quote,
              struct err *err)
{
        static const TPMT_SIG_SCHEME of_the_key = {.scheme = TPM2_ALG_NULL};
        struct session AUTO_SESSION session = SESSION_NONE;
        TPM2B_DATA data = {.size = TPM_QUALIFYING_SIZE};
        TPML_PCR_SELECTION pcrs;
        TPM2B_ATTEST AUTO_ESYS *attest = NULL;
        TPMT_SIGNATURE AUTO_ESYS *signature = NULL;
        TSS2_RC rc;

        memcpy(data.buffer, qualifying, TPM_QUALIFYING_SIZE);
        if (selection_to_tss(selection, &pcrs, err) != 0 ||
            session_start_key(key, 0, &session, err) != 0)
                return err_wrap(err, "quote");
        rc = Esys_Quote(key->tpm->esys, key->handle, session.use, ESYS_TR_NONE, ESYS_TR_NONE, &data,
                        &of_the_key, &pcrs, &attest, &signature);
        if (tpm_result(key->tpm, rc, err, "quote") != 0 ||
            marshal_bytes(attest->attestationData, attest->size, &ret_quote->attest, err) != 0 ||
            marshal_signature(signature, &ret_quote->signature, err) != 0)
                return err->code;
        return 0;
}

static bool same_values(const struct tpm_pcr_values *a, const struct tpm_pcr_values *b)
{
        for (unsigned i = 0; i < TPM_PCR_COUNT; i++) {
                const struct tpm_digest *x = &a->values[i];
                const struct tpm_digest *y = &b->values[i];

                if (x->len != y->len || memcmp(x->data, y->data, x->len) != 0)
                        return false;
        }
        return true;
}

int tpm_quote_read(const struct tpm_key *key, const uint8_t qualifying[TPM_QUALIFYING_SIZE],
                   const struct tpm_pcr_selection *selection, struct tpm_quote *ret_quote,
                   struct tpm_pcr_values *ret_values, struct err *err)
{
        struct tpm_pcr_values before;
        struct tpm_pcr_values after;
        struct tpm_quote quote;

        for (unsigned i = 0; i < QUOTE_TRIES; i++) {
                if (tpm_pcr_read(key->tpm, selection, &before, err) != 0 ||
                    tpm_quote(key, qualifying, selection, &quote, err) != 0 ||
                    tpm_pcr_read(key->tpm, selection, &after, err) != 0)
                        return err->code;
                if (!same_values(&before, &after))
                        continue;
                *ret_quote = quote;
                *ret_values = before;
                return 0;
        }
        return err_set(err, ERR_CONFLICT, "quote: the PCRs do not stop changing");
}
