/*
 * The key derivation functions of TPM 2.0 (Part 1, 11.4.10): KDFa is SP 800-108 in counter mode
 * over HMAC, KDFe the concatenation KDF of SP 800-56A.
 */
#ifndef TPMWIRE_KDF_H
#define TPMWIRE_KDF_H

#include "base/reader.h"
#include "base/secret.h"
#include "crypto/hash.h"

/* len bytes from key; the label's terminating NUL is part of what is hashed. */
int tpm_kdfa(const struct hash_alg *alg, const struct secret *key, const char *label,
             struct bytes context_u, struct bytes context_v, size_t len, struct secret **ret_key,
             struct err *err) MUST_CHECK;

/* len bytes from the x coordinate of a shared point. */
int tpm_kdfe(const struct hash_alg *alg, const struct secret *z, const char *label,
             struct bytes party_u, struct bytes party_v, size_t len, struct secret **ret_key,
             struct err *err) MUST_CHECK;

#endif
