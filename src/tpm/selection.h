/*
 * Inside this library only: our PCR selection as tss2's.
 */
#ifndef TPM_SELECTION_H
#define TPM_SELECTION_H

#include "tpm/esys.h"
#include "tpm/pcr.h"

/* ERR_USAGE for an empty selection or PCRs beyond 23. */
int selection_to_tss(const struct tpm_pcr_selection *selection, TPML_PCR_SELECTION *ret_out,
                     struct err *err) MUST_CHECK;

#endif
