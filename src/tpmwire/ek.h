/*
 * Endorsement keys of a vTPM: templates, handles and NV indices of the TCG EK Credential Profile
 * for TPM Family 2.0 (2.4, B.3 and B.4; 2.2.1.4 and 2.2.1.5).
 */
#ifndef TPMWIRE_EK_H
#define TPMWIRE_EK_H

#include "base/err.h"
#include "tpmwire/public.h"

#define TPM_EK_NAMES_MAX 32 /* characters of all names with commas between */

enum tpm_ek_kind {
        TPM_EK_P256,    /* template L-2 */
        TPM_EK_RSA2048, /* L-1 */
        TPM_EK_P384,    /* H-3 */
        TPM_EK_COUNT,
};

struct tpm_ek {
        const char *name;    /* "p256", "rsa2048", "p384" */
        uint32_t handle;     /* where it is kept */
        uint32_t cert_index; /* NV index of its certificate */
        struct tpm_public template;
};

/* What the profile says of a kind. */
const struct tpm_ek *tpm_ek(enum tpm_ek_kind kind);

/* The kind that has this template's type and size; ERR_NOT_FOUND for other keys. */
int tpm_ek_kind_of(const struct tpm_public *public, enum tpm_ek_kind *ret_kind) MUST_CHECK;

/*
 * "p256,rsa2048" to a mask of 1 << kind, in any order, each once at most and at least one. Errors
 * name the word: ERR_USAGE.
 */
int tpm_ek_parse_names(const char *text, uint8_t *ret_mask, struct err *err) MUST_CHECK;

#endif
