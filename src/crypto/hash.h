/*
 * Hashes by their TPM algorithm identifiers: one-shot, streaming and PCR extend. The OpenSSL
 * digests are fetched once and each thread keeps one context a hash, so that a small hash costs
 * little more than its compression function. Safe to use from several threads.
 */
#ifndef CRYPTO_HASH_H
#define CRYPTO_HASH_H

#include <stdint.h>

#include "base/macro.h"
#include "base/reader.h"

/* TCG Algorithm Registry, table "TPM_ALG_ID". */
#define HASH_TPM_SHA1    0x0004
#define HASH_TPM_SHA256  0x000b
#define HASH_TPM_SHA384  0x000c
#define HASH_TPM_SHA512  0x000d
#define HASH_TPM_SM3_256 0x0012

#define HASH_SIZE_MAX  64
#define HASH_ALG_COUNT 5 /* hashes that this module knows */

struct hash_alg {
        uint16_t tpm_id;
        const char *name; /* "sha256", as in bank names */
        size_t size;      /* bytes of a digest, at most HASH_SIZE_MAX */
};

/* The description of a hash, or NULL where we or OpenSSL do not have it. Never freed. */
const struct hash_alg *hash_by_tpm_id(uint16_t tpm_id);
const struct hash_alg *hash_by_name(const char *name);
const struct hash_alg *hash_by_name_len(const char *name, size_t len);

/* The hash of len bytes into ret_digest, which has room for alg->size. Errors: ERR_FAILED. */
int hash_digest(const struct hash_alg *alg, const void *data, size_t len, uint8_t *ret_digest,
                struct err *err) MUST_CHECK;

/* The hash of several parts in a row. Errors: ERR_FAILED. */
int hash_digest_parts(const struct hash_alg *alg, const struct bytes *parts, size_t count,
                      uint8_t *ret_digest, struct err *err) MUST_CHECK;

/*
 * pcr = H(pcr || digest), both of alg->size bytes (TPM 2.0 Part 1, 17.2 "PCR extend").
 * pcr is unchanged on error. Errors: ERR_FAILED.
 */
int hash_extend(const struct hash_alg *alg, uint8_t *pcr, const uint8_t *digest,
                struct err *err) MUST_CHECK;

/* A hash in several steps. */
struct hash;

/* Errors: ERR_NO_MEMORY, ERR_FAILED. */
int hash_new(const struct hash_alg *alg, struct hash **ret_hash, struct err *err) MUST_CHECK;
int hash_update(struct hash *hash, const void *data, size_t len, struct err *err) MUST_CHECK;

/* Writes the digest and starts the hash anew. */
int hash_final(struct hash *hash, uint8_t *ret_digest, struct err *err) MUST_CHECK;
void hash_free(struct hash *hash);
DEFINE_CLEANUP(struct hash *, hash_free)
#define AUTO_HASH CLEANUP(hash_free_p)

#endif
