/*
 * AES in CFB mode with an all-zero IV: the symmetric half of TPM 2.0's protection of credentials
 * (Part 1, 24.4). It gives no integrity by itself; the caller's HMAC does.
 */
#ifndef CRYPTO_CFB_H
#define CRYPTO_CFB_H

#include "base/reader.h"
#include "base/secret.h"

/* key of 16, 24 or 32 bytes; ret_cipher has room for plain.len bytes. */
int cfb_encrypt(const struct secret *key, struct bytes plain, uint8_t *ret_cipher,
                struct err *err) MUST_CHECK;

#endif
