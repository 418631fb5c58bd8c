/*
 * AES in CBC mode, for reading what other programs wrote. It gives no integrity by itself; the
 * caller checks a MAC over the ciphertext first. What is written here is sealed by crypto/aead.h.
 */
#ifndef CRYPTO_CBC_H
#define CRYPTO_CBC_H

#include "base/reader.h"
#include "base/secret.h"

#define CBC_BLOCK 16 /* bytes of a block and of the IV */

/*
 * key of 16 or 32 bytes; cipher is whole blocks; ret_plain has room for cipher.len bytes, padding
 * with them. ERR_USAGE: other lengths.
 */
int cbc_decrypt(const struct secret *key, const uint8_t iv[CBC_BLOCK], struct bytes cipher,
                uint8_t *ret_plain, struct err *err) MUST_CHECK;

#endif
