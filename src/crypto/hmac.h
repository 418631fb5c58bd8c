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

#define HMAC_LEN 32

struct hmac;

/*
 * HMAC-SHA256 with one key for many messages: the key is prepared once, which costs several times
 * as much as a short message. OpenSSL keeps it until hmac_free(), which wipes it.
 */
int hmac_new(const struct secret *key, struct hmac **ret_hmac, struct err *err) MUST_CHECK;
void hmac_free(struct hmac *hmac);
DEFINE_CLEANUP(struct hmac *, hmac_free)
#define AUTO_HMAC CLEANUP(hmac_free_p)

/* Compare the result with secret_equal(). */
int hmac_run(struct hmac *hmac, struct bytes message, uint8_t ret_mac[HMAC_LEN],
             struct err *err) MUST_CHECK;

#endif
