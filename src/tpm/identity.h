/*
 * What a TPM says of itself in its fixed properties (TPM 2.0 Part 2, 6.13): who made it, and
 * which firmware it runs. Nothing signs these words; what they are worth is up to who asks.
 */
#ifndef TPM_IDENTITY_H
#define TPM_IDENTITY_H

#include <stdbool.h>

#include "tpm/tpm.h"

/* Words of [A-Za-z0-9._-]; "-" where the TPM says nothing. */
struct tpm_identity {
        char manufacturer[5]; /* of the TCG's vendor registry: IBM, IFX, STM, INTC, AMD ... */
        char vendor[17];
        char firmware[24]; /* four numbers: 7.85.4555.0 */
        bool is_software;  /* known to be a program, whatever it is reached through */
};

/* Asks the TPM. ERR_TPM and ERR_IO when it does not tell. */
int tpm_identify(struct tpm *tpm, struct tpm_identity *ret_identity, struct err *err) MUST_CHECK;

#endif
