/*
 * Credential activation: proves that a key lives in the TPM of an EK (TPM 2.0 Part 1, 24).
 * Making the credential is the verifier's side and needs no TPM: tpmwire/credential.h.
 */
#ifndef TPM_CREDENTIAL_H
#define TPM_CREDENTIAL_H

#include "base/reader.h"
#include "base/secret.h"
#include "tpm/key.h"

/*
 * Opens a credential that was made for this EK and key. blob is a TPM2B_ID_OBJECT, encrypted_secret
 * a TPM2B_ENCRYPTED_SECRET, each with its size field. ERR_NOT_TRUSTED if it was made for another
 * EK or another key, ERR_MALFORMED if it is none.
 */
int tpm_credential_activate(const struct tpm_key *ek, const struct tpm_key *key, struct bytes blob,
                            struct bytes encrypted_secret, struct secret **ret_credential,
                            struct err *err) MUST_CHECK;

#endif
