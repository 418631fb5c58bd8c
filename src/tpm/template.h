/*
 * Inside this library only: the public templates of the keys and objects that are created.
 */
#ifndef TPM_TEMPLATE_H
#define TPM_TEMPLATE_H

#include <tss2/tss2_tpm2_types.h>

extern const TPM2B_PUBLIC template_ek_ecc_p256; /* TCG EK Credential Profile, B.3.4 (L-2) */
extern const TPM2B_PUBLIC template_ek_rsa_2048; /* B.3.3 (L-1) */
extern const TPM2B_PUBLIC template_storage;     /* TCG TPM v2.0 Provisioning Guidance, 7.5.1 */
extern const TPM2B_PUBLIC template_signing;     /* restricted ECDSA P-256: AK and CEK */
extern const TPM2B_PUBLIC template_sealed;      /* data under a policy; the policy is put in */

#endif
