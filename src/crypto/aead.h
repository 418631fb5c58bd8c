/*
 * Authenticated encryption: AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce in front and
 * the 128-bit tag behind the ciphertext.
 *
 * A random nonce bounds a key to 2^32 messages (SP 800-38D, 8.3); callers keep far below it by
 * sealing under keys that are fresh for every message. The cipher and its context are fetched
 * once per process; the context forgets the key after each call. One thread only.
 */
#ifndef CRYPTO_AEAD_H
#define CRYPTO_AEAD_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/reader.h"
#include "base/secret.h"

#define AEAD_KEY_LEN   32
#define AEAD_NONCE_LEN 12
#define AEAD_TAG_LEN   16
#define AEAD_OVERHEAD  (AEAD_NONCE_LEN + AEAD_TAG_LEN)
#define AEAD_PLAIN_MAX (16U << 20) /* bytes of one message */
#define AEAD_AAD_MAX   4096

/*
 * Seals plain under key (AEAD_KEY_LEN bytes) and binds aad to it. ret_sealed has room for
 * plain.len + AEAD_OVERHEAD bytes and must not overlap the input.
 * Errors: ERR_LIMIT (an input is larger than its maximum), ERR_FAILED (no randomness, OpenSSL).
 */
int aead_seal(const struct secret *key, struct bytes aad, struct bytes plain, uint8_t *ret_sealed,
              struct err *err) MUST_CHECK;

/*
 * Opens what aead_seal() made. ret_plain has room for sealed.len - AEAD_OVERHEAD bytes and must
 * not overlap the input; unlike other outputs it is wiped, not left alone, when the tag is wrong,
 * since GCM decrypts before it knows.
 * Errors: ERR_DAMAGED (another key, aad or bytes), ERR_LIMIT, ERR_FAILED.
 */
int aead_open(const struct secret *key, struct bytes aad, struct bytes sealed, uint8_t *ret_plain,
              struct err *err) MUST_CHECK;

#endif
