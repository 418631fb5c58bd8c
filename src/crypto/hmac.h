/*
 * HMAC (RFC 2104) with the hashes of crypto/hash.h.
 */
#ifndef CRYPTO_HMAC_H
#define CRYPTO_HMAC_H

#include "base/reader.h"
#include "base/secret.h"
#include "crypto/hash.h"

/* HMAC over several parts in a row into ret_mac, which has room for alg->size bytes. */
int hmac_parts(const struct hash_alg *alg, const struct secret *key, const struct bytes *parts,
               size_t count, uint8_t *ret_mac, struct err *err) MUST_CHECK;

#endif
