/*
 * What the certificate of an endorsement key says about its TPM (TCG EK Credential Profile for TPM
 * Family 2.0, 2.5): manufacturer, model and version in the alternative name, and which
 * specification it follows.
 */
#ifndef CRYPTO_CA_TPM_H
#define CRYPTO_CA_TPM_H

#include <openssl/x509.h>

#include "crypto/ca.h"

/* Adds both extensions. Errors: ERR_USAGE for numbers that no TPM has; ERR_FAILED (OpenSSL). */
int ca_tpm_add(X509 *x, const struct ca_tpm *tpm, struct err *err) MUST_CHECK;

#endif
