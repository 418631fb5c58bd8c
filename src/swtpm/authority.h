/*
 * The certificate authority that signs endorsement keys until hosts have certificates to do so: it
 * says that the key was made by swtpm_setup where this authority's key is, and nothing of the host.
 * It is kept in the directory that CATENA_SWTPM_CA names, else in the one of swtpm's own, if there
 * is one that we may write to, and else beside the state.
 */
#ifndef SWTPM_AUTHORITY_H
#define SWTPM_AUTHORITY_H

#include "crypto/ca.h"
#include "swtpm/state-file.h"

#define AUTHORITY_ENV  "CATENA_SWTPM_CA"
#define AUTHORITY_DIR  "/var/lib/swtpm-localca"
#define AUTHORITY_NAME "catena-ca" /* in either of the latter */

/*
 * Opens the authority, or makes one. ERR_USAGE when there is no place for it (a file:// state and
 * none of the directories).
 */
int authority_open(const struct state_place *place, struct ca **ret_ca, struct err *err) MUST_CHECK;

struct authority_request {
        const char *vmid; /* the VM, "NAME:UUID" */
        const struct ca_tpm *tpm;
        struct bytes public; /* of the EK, TPM2B_PUBLIC */
};

/* A certificate in DER; free() it. */
int authority_certify(const struct ca *ca, const struct authority_request *wanted,
                      uint8_t **ret_der, size_t *ret_len, struct err *err) MUST_CHECK;

#endif
