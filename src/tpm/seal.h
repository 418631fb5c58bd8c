/*
 * Sealing: a short secret that the TPM gives back only while PCRs are as they were.
 */
#ifndef TPM_SEAL_H
#define TPM_SEAL_H

#include "base/secret.h"
#include "tpm/key.h"
#include "tpm/pcr.h"

#define TPM_SEAL_MAX 128 /* bytes, MAX_SYM_DATA of TPM 2.0 */

/* What has to hold to unseal. A structure, since authorised policies will need more than PCRs. */
struct tpm_seal_policy {
        struct tpm_pcr_selection pcrs;
};

/*
 * Seals the secret (1 to TPM_SEAL_MAX bytes) under a storage key to the values that the policy's
 * PCRs have now. The blobs can be kept anywhere; the policy has to be known again to unseal.
 */
int tpm_seal(const struct tpm_key *storage, const struct tpm_seal_policy *policy,
             const struct secret *secret, struct tpm_key_blobs *ret_sealed,
             struct err *err) MUST_CHECK;

/*
 * ERR_NOT_TRUSTED if a PCR of the policy has another value or the blobs are another TPM's, or were
 * changed; ERR_MALFORMED if they are none.
 */
int tpm_unseal(const struct tpm_key *storage, const struct tpm_seal_policy *policy,
               const struct tpm_key_blobs *sealed, struct secret **ret_secret,
               struct err *err) MUST_CHECK;

#endif
