/*
 * Bytes that follow from a seed: HMAC_DRBG with SHA-256 (NIST SP 800-90A Rev. 1, 10.1.2), without
 * reseeding. Not for random numbers: those come from the kernel.
 */
#ifndef CRYPTO_DRBG_H
#define CRYPTO_DRBG_H

#include "base/reader.h"
#include "base/secret.h"

#define DRBG_SEED_SIZE  32  /* entropy input: 256 bits of strength */
#define DRBG_NONCE_SIZE 16  /* half of that (8.6.7) */
#define DRBG_BYTES_MAX  128 /* of one expansion; SECRET_LEN_MAX allows more */

struct drbg_request {
        const struct secret *seed;    /* DRBG_SEED_SIZE bytes */
        struct bytes nonce;           /* DRBG_NONCE_SIZE bytes */
        struct bytes personalization; /* may be empty */
        size_t len;                   /* bytes wanted, 1 to DRBG_BYTES_MAX */
};

/* Instantiates, generates once and forgets the state. ERR_USAGE for sizes that do not fit. */
int drbg_expand(const struct drbg_request *request, struct secret **ret_bytes,
                struct err *err) MUST_CHECK;

#endif
