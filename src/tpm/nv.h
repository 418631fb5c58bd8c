/*
 * Reading NV indices: what a TPM's manufacturer put there, such as the EK's certificate.
 */
#ifndef TPM_NV_H
#define TPM_NV_H

#include "tpm/key.h"

#define TPM_NV_MAX 4096 /* bytes of an index that is read */

/* An index's data; public. */
struct tpm_nv {
        size_t len;
        uint8_t data[TPM_NV_MAX];
};

/*
 * Reads all of an index, by its own empty authorisation value or the owner's. ERR_NOT_FOUND when
 * there is no such index, ERR_LIMIT beyond TPM_NV_MAX.
 */
int tpm_nv_read(struct tpm *tpm, uint32_t index, struct tpm_nv *ret_nv, struct err *err) MUST_CHECK;

/* Where the certificate of such an EK is (TCG EK Credential Profile, 2.2.1.4). */
uint32_t tpm_nv_ek_certificate(enum tpm_ek_kind kind);

#endif
