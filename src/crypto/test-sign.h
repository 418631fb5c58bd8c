/*
 * Signing with any key, for tests: the product itself signs ES256 only.
 */
#ifndef CRYPTO_TEST_SIGN_H
#define CRYPTO_TEST_SIGN_H

#include "crypto/pkey.h"

/* A fresh RSA key. Weak sizes give the modulus only: their handle is NULL. */
struct test_rsa {
        struct pkey *key;
        uint8_t n[PKEY_RSA_SIZE_MAX];
        size_t n_len;
};
void test_rsa_generate(unsigned bits, struct test_rsa *ret_rsa);

/* Returns the length of the signature; PKEY_RSA_PSS salts with the hash's size. */
size_t test_sign_rsa(const struct pkey *key, enum pkey_padding padding, const char *hash,
                     struct bytes message, uint8_t *ret_signature);

/* r and s, each of the curve's full size. */
void test_sign_ecdsa(const struct pkey *key, const char *hash, struct bytes message, uint8_t *ret_r,
                     uint8_t *ret_s);

#endif
