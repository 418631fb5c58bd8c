/*
 * The OpenSSL side of struct x509_cert, for files of this directory only.
 */
#ifndef CRYPTO_X509_CERT_H
#define CRYPTO_X509_CERT_H

#include <openssl/bio.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "crypto/x509.h"

struct x509_cert {
        X509 *x;
};

DEFINE_CLEANUP(X509 *, X509_free)
DEFINE_CLEANUP(BIO *, BIO_free)

/* Wraps a certificate. Takes the reference in every case; NULL is ERR_MALFORMED. */
int x509_wrap(X509 *x, struct x509_cert **ret_cert, struct err *err) MUST_CHECK;

#endif
