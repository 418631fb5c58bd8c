/*
 * The OpenSSL side of struct pkey, for files of this directory only.
 */
#ifndef CRYPTO_PKEY_EVP_H
#define CRYPTO_PKEY_EVP_H

#include <openssl/evp.h>
#include <openssl/types.h>
#include <stdatomic.h>

#include "crypto/pkey.h"

struct pkey {
        EVP_PKEY *evp;
        enum pkey_type type;
        enum pkey_curve curve; /* of a PKEY_EC */
        bool is_private;
        atomic_uint refs;
};

/* Scope clean-up of OpenSSL's objects. */
DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(EVP_PKEY_CTX *, EVP_PKEY_CTX_free)

/*
 * Checks an OpenSSL key against the rules of pkey.h and wraps it. Takes the reference to evp in
 * every case; evp may be NULL, which is ERR_MALFORMED.
 */
int pkey_from_evp(EVP_PKEY *evp, bool is_private, struct pkey **ret_key,
                  struct err *err) MUST_CHECK;

/* Sets code and text and appends OpenSSL's reason, emptying its error queue. Returns code. */
int pkey_openssl_error(struct err *err, int code, const char *what);

/* OpenSSL's name of a curve. */
const char *pkey_curve_name(enum pkey_curve curve);

#endif
