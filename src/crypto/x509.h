/*
 * X.509 certificates: read, checked against one of our profiles and a set of roots. OpenSSL
 * builds and checks the path (RFC 5280, 6); the rules that it leaves open are ours: version,
 * key usage, extended key usage, subject and SAN, the key itself. Failure is never a pass: every
 * error of the check is an error of the call.
 */
#ifndef CRYPTO_X509_H
#define CRYPTO_X509_H

#include <stdbool.h>
#include <stdint.h>

#include "base/reader.h"
#include "crypto/pkey.h"

#define X509_DER_MAX   8192  /* bytes of one certificate */
#define X509_PEM_MAX   65536 /* bytes of a PEM file */
#define X509_CERTS_MAX 32    /* certificates of one PEM file */
#define X509_PATH_MAX  8     /* certificates of one path */
#define X509_NAME_MAX  256   /* bytes of a name in words, with its NUL */

/* TCG EK credential profile 2.5, 3.2.16: what a certificate's key is for. */
#define X509_EKU_EK "2.23.133.8.1" /* tcg-kp-EKCertificate */
#define X509_EKU_AK "2.23.133.8.3" /* tcg-kp-AIKCertificate */

/*
 * A policy under which an AK is certified (TCG, TPM 2.0 Keys for Device Identity and Attestation,
 * 7.3): that it lives in a TPM was verified, here by a manufacturer's certificate of the EK.
 */
#define X509_POLICY_RESIDENCY "2.23.133.11.1.1" /* tcg-cap-verifiedTPMResidency */

struct x509_cert;

enum x509_profile {
        X509_EK, /* endorsement key: decrypts or agrees, never signs */
        X509_AK, /* attestation key: signs, and certifies nothing */
        X509_CA, /* certifies */
        X509_PROFILES,
};

/* A few certificates in the order of their file. */
struct x509_list {
        struct x509_cert *certs[X509_CERTS_MAX];
        size_t n;
};

/* Exactly one certificate in DER. Errors: ERR_MALFORMED. */
int x509_from_der(struct bytes der, struct x509_cert **ret_cert, struct err *err) MUST_CHECK;

/* The same as read from an NV index: only 0xFF or only 0x00 may follow the certificate. */
int x509_from_padded_der(struct bytes der, struct x509_cert **ret_cert, struct err *err) MUST_CHECK;

/* One or more certificates in PEM; white space apart, nothing else may stand between them. */
int x509_list_from_pem(struct bytes pem, struct x509_list *ret_list, struct err *err) MUST_CHECK;
void x509_list_done(struct x509_list *list);
#define AUTO_X509_LIST CLEANUP(x509_list_done)

void x509_free(struct x509_cert *cert);
DEFINE_CLEANUP(struct x509_cert *, x509_free)
#define AUTO_X509 CLEANUP(x509_free_p)

/* The certificate's key; ERR_UNSUPPORTED when it is weak (see pkey.h). */
int x509_key(const struct x509_cert *cert, struct pkey **ret_key, struct err *err) MUST_CHECK;

/* Its DER; free() it. */
int x509_to_der(const struct x509_cert *cert, uint8_t **ret_der, size_t *ret_len,
                struct err *err) MUST_CHECK;

/* NUL-terminated PEM; free() it. */
int x509_to_pem(const struct x509_cert *cert, char **ret_pem, struct err *err) MUST_CHECK;

/* What people want to see. Times are seconds since 1970. */
struct x509_info {
        char subject[X509_NAME_MAX]; /* RFC 2253, control characters escaped */
        char issuer[X509_NAME_MAX];
        char common_name[X509_NAME_MAX]; /* "" when there is none */
        char serial[2 * 20 + 1];         /* hex */
        char fingerprint[2 * 32 + 1];    /* SHA-256 of the DER, hex */
        int64_t not_before;
        int64_t not_after;
        bool residency; /* issued under X509_POLICY_RESIDENCY */
};
int x509_describe(const struct x509_cert *cert, struct x509_info *ret_info,
                  struct err *err) MUST_CHECK;

struct x509_check {
        const struct x509_cert *leaf;
        const struct x509_list *others; /* intermediates, trusted for nothing; may be NULL */
        const struct x509_list *roots;  /* trusted; none means that nothing is */
        enum x509_profile profile;      /* what the leaf must be */
        const struct pkey *key;         /* the leaf's key must be this one; NULL: any */
        int64_t now;                    /* seconds since 1970 */
};

/* 0, or ERR_NOT_TRUSTED with the reason in words (also ERR_NO_MEMORY). */
int x509_verify(const struct x509_check *check, struct err *err) MUST_CHECK;

#endif
