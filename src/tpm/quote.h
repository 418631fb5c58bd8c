/*
 * TPM2_Quote: what a key of this TPM says about its PCRs.
 */
#ifndef TPM_QUOTE_H
#define TPM_QUOTE_H

#include "tpm/key.h"
#include "tpm/pcr.h"

#define TPM_QUALIFYING_SIZE 32 /* always a SHA-256 with a label: PROTOCOLS.md, what is quoted */

struct tpm_quote {
        struct tpm_blob attest;    /* TPMS_ATTEST */
        struct tpm_blob signature; /* TPMT_SIGNATURE */
};

/* Quotes the selection with the key. */
int tpm_quote(const struct tpm_key *key, const uint8_t qualifying[TPM_QUALIFYING_SIZE],
              const struct tpm_pcr_selection *selection, struct tpm_quote *ret_quote,
              struct err *err) MUST_CHECK;

/*
 * The same with the PCRs' values: read before and after the quote and equal, else it is repeated
 * a few times and then ERR_CONFLICT.
 */
int tpm_quote_read(const struct tpm_key *key, const uint8_t qualifying[TPM_QUALIFYING_SIZE],
                   const struct tpm_pcr_selection *selection, struct tpm_quote *ret_quote,
                   struct tpm_pcr_values *ret_values, struct err *err) MUST_CHECK;

#endif
