/*
 * Keys from keys: HKDF-SHA256 (RFC 5869). Every use has a label of its own, so that one key never
 * serves two purposes. The context is cached per process and forgets its key after each call; one
 * thread.
 */
#ifndef CRYPTO_KDF_H
#define CRYPTO_KDF_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/reader.h"
#include "base/secret.h"

#define KDF_LABEL_MAX   64
#define KDF_CONTEXT_MAX 1024

struct kdf_request {
        const struct secret *key;
        struct bytes salt;    /* may be empty */
        const char *label;    /* names the use; 1 to KDF_LABEL_MAX characters */
        struct bytes context; /* what the key is for, at most KDF_CONTEXT_MAX bytes */
        size_t len;           /* of the result, 1 to SECRET_LEN_MAX bytes */
};

/*
 * HKDF with info = be16 length of label ‖ label ‖ context: two labels, or a label and a context,
 * never run into each other. Errors: ERR_LIMIT, ERR_FAILED (OpenSSL).
 */
int kdf_derive(const struct kdf_request *request, struct secret **ret_key,
               struct err *err) MUST_CHECK;

/* RFC 5869 itself; fills ret_key, whose length (from secret_new()) is that of the result. */
int kdf_hkdf(const struct secret *key, struct bytes salt, struct bytes info, struct secret *ret_key,
             struct err *err) MUST_CHECK;

#endif
