/*
 * libtpms 0.9.2 builds the curve anew for each operation on it and computes with RSA keys without
 * their prime factors. Here its calls to libcrypto for both are answered from caches: curves that
 * libcrypto has built in, and RSA keys made complete. What it signs and which keys it makes stay
 * the same. A libtpms that asks for neither, or whose keys come complete, meets no cache at all:
 * each call decides for itself, and interpose_sign_words() says what was found.
 *
 * Curves are public and may be shared by all engines of a zygote. RSA keys are secrets: they are
 * cached on first use only, so there are none before a TPM is loaded; at most
 * INTERPOSE_KEYS_MAX; wiped with interpose_sign_forget().
 */
#ifndef ENGINE_INTERPOSE_SIGN_H
#define ENGINE_INTERPOSE_SIGN_H

#include <stddef.h>

#define INTERPOSE_KEYS_MAX 8 /* the one not used for longest makes room */

/* Builds the curves now: before the sandbox, and before a fork that shall share them. */
void interpose_sign_warm_up(void);

/* Wipes all RSA keys: when the TPM goes off, and when one of its keys goes. */
void interpose_sign_forget(void);

/* How many RSA keys are cached. */
size_t interpose_sign_keys(void);

/* What was cached since the start: "curves and RSA keys", "curves", "RSA keys" or "nothing". */
const char *interpose_sign_words(void);

#endif
