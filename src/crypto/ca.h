/*
 * The fleet's certificate authority, kept in a directory: ca.key (0600, PKCS#8) and ca.crt. It
 * certifies the attestation keys of hosts after their enrolment; a host is trusted as far as what
 * it proves with that key, not because it has a certificate.
 */
#ifndef CRYPTO_CA_H
#define CRYPTO_CA_H

#include "crypto/x509.h"

#define CA_KEY_FILE   "ca.key"
#define CA_CERT_FILE  "ca.crt"
#define CA_DAYS       3650 /* life of the root */
#define CA_ISSUE_DAYS 365  /* life of what it issues */
#define CA_DAYS_MAX   7300
#define CA_NAME_MAX   64 /* characters of a common name (RFC 5280, A.1: ub-common-name) */

struct ca;

/*
 * Makes a new root (P-256, path length 1) in dir, which is made 0700 if missing. ERR_CONFLICT
 * when there is one: it is never overwritten. name is the common name, days 1 to CA_DAYS_MAX,
 * now seconds since 1970.
 */
int ca_create(const char *dir, const char *name, unsigned days, int64_t now,
              struct err *err) MUST_CHECK;

/* Opens what ca_create() made; ERR_DAMAGED when key and certificate do not belong together. */
int ca_open(const char *dir, struct ca **ret_ca, struct err *err) MUST_CHECK;
void ca_free(struct ca *ca);
DEFINE_CLEANUP(struct ca *, ca_free)
#define AUTO_CA CLEANUP(ca_free_p)

/* The root, valid as long as ca. */
const struct x509_cert *ca_root(const struct ca *ca);

/* The TPM that an endorsement key is in, by its own fixed properties (TPM_PT). */
struct ca_tpm {
        uint32_t manufacturer;
        const char *model;
        uint32_t version;
        uint32_t level; /* of the specification */
        uint32_t revision;
};

struct ca_request {
        enum x509_profile profile; /* X509_AK or X509_EK */
        const char *name;          /* host or VM: common name, and the DNS name of the SAN */
        const struct ca_tpm *tpm;  /* of an EK: stands in the SAN instead; NULL: not known */
        const struct pkey *key;    /* what is certified */
        unsigned days;             /* 1 to CA_DAYS_MAX; never beyond the root's end */
        int64_t now;               /* seconds since 1970 */
        bool residency;            /* of an AK: its TPM's EK is certified by a manufacturer */
};

/*
 * Issues a certificate with a random serial number. Names are 1 to CA_NAME_MAX of
 * [A-Za-z0-9._-], otherwise ERR_MALFORMED.
 */
int ca_issue(const struct ca *ca, const struct ca_request *request, struct x509_cert **ret_cert,
             struct err *err) MUST_CHECK;

#endif
