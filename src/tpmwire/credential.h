/*
 * TPM2_MakeCredential in software (TPM 2.0 Part 1, 24 and Annexes B.10.4, C.6.4): a secret that
 * only the TPM with this EK can open, and only while it holds the object of this name. For the
 * EK templates of the TCG EK Credential Profile with AES in CFB mode: L-1 (RSA-2048), L-2
 * (P-256) and their P-384 and larger kin.
 */
#ifndef TPMWIRE_CREDENTIAL_H
#define TPMWIRE_CREDENTIAL_H

#include "base/secret.h"
#include "tpmwire/name.h"

#define CREDENTIAL_BLOB_MAX   (2 + 2 + TPM_DIGEST_MAX + 2 + TPM_DIGEST_MAX)
#define CREDENTIAL_SECRET_MAX (2 + TPM_RSA_MAX)

struct credential {
        uint8_t blob[CREDENTIAL_BLOB_MAX]; /* TPM2B_ID_OBJECT with its size */
        size_t blob_len;
        uint8_t secret[CREDENTIAL_SECRET_MAX]; /* TPM2B_ENCRYPTED_SECRET with its size */
        size_t secret_len;
};

/*
 * Protects secret, at most as long as the digest of the EK's nameAlg. The EK must be a
 * restricted decryption key, fixed to its TPM, with AES-CFB: anything else is ERR_UNSUPPORTED or
 * ERR_NOT_TRUSTED. Weak keys are refused as pkey.h says.
 */
int credential_make(const struct tpm_public *ek, const struct tpm_name *object,
                    const struct secret *secret, struct credential *ret_credential,
                    struct err *err) MUST_CHECK;

#endif
