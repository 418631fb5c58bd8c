/*
 * From a TPM public area to a key that verifies: the bridge between the parsers here and
 * crypto/pkey.
 */
#ifndef TPMWIRE_PUBKEY_H
#define TPMWIRE_PUBKEY_H

#include "crypto/pkey.h"
#include "tpmwire/public.h"
#include "tpmwire/signature.h"

/*
 * Decodes the key once; keep the handle. Weak or invalid keys are refused as pkey.h says, and so
 * is a modulus whose size differs from keyBits (ERR_MALFORMED).
 */
int pubkey_from_tpm(const struct tpm_public *public, struct pkey **ret_key,
                    struct err *err) MUST_CHECK;

/*
 * Verifies a TPM's signature over message. The signature's algorithm must be of the key's type
 * and its hash one of SHA-256, SHA-384 and SHA-512: SHA-1 is never accepted. Errors:
 * ERR_NOT_TRUSTED if it does not verify, ERR_UNSUPPORTED for algorithm or hash.
 */
int pubkey_verify(const struct pkey *key, const struct tpm_signature *signature,
                  struct bytes message, struct err *err) MUST_CHECK;

#endif
