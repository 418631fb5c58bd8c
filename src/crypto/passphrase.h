/*
 * Keys from what people or management software chose: scrypt (RFC 7914) with N = 2^14, r = 8,
 * p = 1, which takes 16 MiB and some 30 ms. A passphrase alone gives a key of its own for every
 * salt and label.
 */
#ifndef CRYPTO_PASSPHRASE_H
#define CRYPTO_PASSPHRASE_H

#include "base/err.h"
#include "base/reader.h"
#include "base/secret.h"

#define PASSPHRASE_MAX      SECRET_LEN_MAX /* bytes */
#define PASSPHRASE_SALT_LEN 16
#define PASSPHRASE_KEY_LEN  32

/*
 * The key (PASSPHRASE_KEY_LEN bytes) of a passphrase for one use: label as for kdf_derive().
 * Errors: ERR_FAILED (OpenSSL, memory).
 */
int passphrase_derive(const struct secret *passphrase, const uint8_t salt[PASSPHRASE_SALT_LEN],
                      const char *label, struct secret **ret_key, struct err *err) MUST_CHECK;

/*
 * PBKDF2 with HMAC-SHA512 (RFC 8018), for keys that other programs derive so; fills ret_key, whose
 * length (from secret_new()) is that of the result. Errors: ERR_FAILED.
 */
int passphrase_pbkdf2(struct bytes passphrase, struct bytes salt, unsigned iterations,
                      struct secret *ret_key, struct err *err) MUST_CHECK;

#endif
