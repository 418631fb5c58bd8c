/*
 * The prime factors of an RSA key from its private exponent. libcrypto computes with a key that has
 * them (Chinese remainders, RFC 8017, 5.1.2) several times faster than with one that has not.
 */
#ifndef ENGINE_RSA_FACTORS_H
#define ENGINE_RSA_FACTORS_H

#include <openssl/evp.h>
#include <openssl/rsa.h>

/*
 * A new RSA with n, e and d of the one that is given, its factors and what is computed from them.
 * NULL without memory, or when d is not the inverse of e modulo (p - 1)(q - 1).
 */
RSA *rsa_factors_complete(const RSA *rsa);

/*
 * The completed key for use. Made for libcrypto's provider at once: exporting an RSA to it later
 * would leave a copy of the primes in memory that was freed (OpenSSL 3.0). NULL without memory.
 */
EVP_PKEY *rsa_factors_to_key(const RSA *whole);

#endif
