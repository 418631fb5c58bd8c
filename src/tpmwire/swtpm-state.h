/*
 * The files in which swtpm 0.5 and later keeps a TPM's state (tpm2-00.permall): a header of its own
 * around parts with tags, one of which is libtpms' state, in clear or encrypted. Pure: bytes in,
 * bytes out.
 *
 * Encrypted it is AES-CBC, padded to whole keys, with HMAC-SHA256 under the same key over the
 * ciphertext and the IV. The key is the operator's, or comes from his passphrase by PBKDF2 with
 * HMAC-SHA512, the salt "swtpm" and 1000 rounds (kdf=pbkdf2) or by one SHA-512 (kdf=sha512).
 */
#ifndef TPMWIRE_SWTPM_STATE_H
#define TPMWIRE_SWTPM_STATE_H

#include "base/err.h"
#include "base/reader.h"
#include "base/secret.h"
#include "base/writer.h"

#define SWTPM_STATE_MAX ((160U << 10) + 256) /* bytes of a file: a state, and what is around it */

/* What a file holds, as views into it. */
struct swtpm_state {
        size_t key_len;    /* 0: in clear; else 16 or 32 */
        struct bytes data; /* libtpms' state, or its ciphertext */
        struct bytes mac;
        struct bytes iv; /* as long as the key, of which AES takes 16 bytes; empty: zeros */
};

/*
 * Takes a file apart. Errors: ERR_UNSUPPORTED for a later format or a state for migration, with
 * words; ERR_MALFORMED with the offset for what is no such file.
 */
int swtpm_state_parse(struct bytes file, struct swtpm_state *ret, struct err *err) MUST_CHECK;

/*
 * libtpms' state in memory of its own, to be wiped and freed. secret: the passphrase without its
 * line end, or the key in hexadecimal digits; NULL: none. It is not looked at for a state in clear.
 * Errors: ERR_NOT_PERMITTED without the right secret; ERR_MALFORMED.
 */
int swtpm_state_open(const struct swtpm_state *state, const struct secret *secret,
                     uint8_t **ret_plain, size_t *ret_len, struct err *err) MUST_CHECK;

/* The file for a state in clear. */
void swtpm_state_encode(struct bytes state, struct writer *w);

#endif
