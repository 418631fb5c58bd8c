/*
 * Keys in a TPM: the endorsement key and the storage key as primaries by their standard
 * templates, and restricted signing keys under them (AK, CEK).
 */
#ifndef TPM_KEY_H
#define TPM_KEY_H

#include <stdint.h>

#include "base/secret.h"
#include "tpm/tpm.h"

enum tpm_ek_kind {
        TPM_EK_ECC_P256, /* template L-2 of the TCG EK Credential Profile */
        TPM_EK_RSA_2048, /* template L-1 */
};

/* A key as it is stored outside: TPM2B_PUBLIC and TPM2B_PRIVATE (encrypted by its parent). */
struct tpm_key_blobs {
        struct tpm_blob public;
        struct tpm_blob private;
};

/*
 * Creates and loads the EK: the same key each time for the TPM's endorsement seed. RSA may take
 * seconds. Release with tpm_key_free().
 */
int tpm_key_create_ek(struct tpm *tpm, enum tpm_ek_kind kind, struct tpm_key **ret_ek,
                      struct err *err) MUST_CHECK;

/* Creates and loads a storage primary in the owner hierarchy (ECC P-256, SRK template H-2). */
int tpm_key_create_storage(struct tpm *tpm, struct tpm_key **ret_key, struct err *err) MUST_CHECK;

/*
 * Creates a restricted ECDSA P-256/SHA-256 signing key under parent: fixedTPM, fixedParent,
 * sensitiveDataOrigin, noDA (PLATFORM.md: an AK without it meets the lockout of others). auth is
 * its authorisation value (at most 32 bytes) or NULL for none. An AK's parent is the EK, so that
 * its qualified name belongs to the endorsement hierarchy.
 */
int tpm_key_create_signing(const struct tpm_key *parent, const struct secret *auth,
                           struct tpm_key_blobs *ret_blobs, struct err *err) MUST_CHECK;

/* Loads a created key. A wrong auth is only seen when the key is used. */
int tpm_key_load(const struct tpm_key *parent, const struct tpm_key_blobs *blobs,
                 const struct secret *auth, struct tpm_key **ret_key, struct err *err) MUST_CHECK;

/* Flushes and releases. NULL is allowed. */
void tpm_key_free(struct tpm_key *key);
DEFINE_CLEANUP(struct tpm_key *, tpm_key_free)
#define AUTO_TPM_KEY CLEANUP(tpm_key_free_p)

/* TPM2B_PUBLIC with its size field; belongs to the key. */
const struct tpm_blob *tpm_key_public(const struct tpm_key *key);

/* The name: digest algorithm (be16) and digest, 34 bytes with SHA-256; belongs to the key. */
const struct tpm_blob *tpm_key_name(const struct tpm_key *key);

/*
 * TPM2_Certify: signer vouches that key is in the same TPM with this name. Outputs TPMS_ATTEST and
 * TPMT_SIGNATURE. qualifying is at most 64 bytes.
 */
int tpm_key_certify(const struct tpm_key *key, const struct tpm_key *signer, const void *qualifying,
                    size_t qualifying_len, struct tpm_blob *ret_attest,
                    struct tpm_blob *ret_signature, struct err *err) MUST_CHECK;

#endif
