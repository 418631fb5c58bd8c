/*
 * PCRs: banks, extending and reading.
 */
#ifndef TPM_PCR_H
#define TPM_PCR_H

#include <stdint.h>

#include "tpm/tpm.h"

#define TPM_PCR_COUNT     24
#define TPM_PCR_BANKS_MAX 8
#define TPM_DIGEST_MAX    64
#define TPM_PCR(i)        (UINT32_C(1) << (i))

#define TPM_ALG_ID_SHA256 0x000B /* TPM 2.0 Part 2, 6.3; tss2's names stay in this library */

struct tpm_digest {
        uint16_t alg; /* TPM_ALG_ID */
        uint16_t len;
        uint8_t data[TPM_DIGEST_MAX];
};

/* One bank and the PCRs of it: bit i is PCR i. */
struct tpm_pcr_selection {
        uint16_t alg;
        uint32_t mask;
};

/* PCR values of one bank; only those in mask are filled. */
struct tpm_pcr_values {
        uint16_t alg;
        uint32_t mask;
        struct tpm_digest values[TPM_PCR_COUNT];
};

/* The algorithms of the banks that have PCRs, in the TPM's order. */
int tpm_pcr_banks(struct tpm *tpm, uint16_t ret_algs[TPM_PCR_BANKS_MAX], size_t *ret_n,
                  struct err *err) MUST_CHECK;

/*
 * Extends one PCR in every bank. ERR_USAGE if a bank that is on has no digest here: what is left
 * out would be for an attacker to fill (CVE-2021-42299). Digests for banks that are off are
 * left out.
 */
int tpm_pcr_extend(struct tpm *tpm, unsigned pcr, const struct tpm_digest *digests, size_t n,
                   struct err *err) MUST_CHECK;

#define TPM_EVENT_MAX 1024 /* bytes that TPM2_PCR_Event takes */

/*
 * Extends one PCR in every bank that is on with the hash of data, computed by the TPM itself
 * (TPM2_PCR_Event). At most TPM_EVENT_MAX bytes, else ERR_LIMIT.
 */
int tpm_pcr_event(struct tpm *tpm, unsigned pcr, const void *data, size_t len,
                  struct err *err) MUST_CHECK;

/*
 * Reads the PCRs of the selection; all at one moment (the TPM's update counter stays the same),
 * else ERR_CONFLICT after a few tries. ERR_NOT_FOUND if the bank is off.
 */
int tpm_pcr_read(struct tpm *tpm, const struct tpm_pcr_selection *selection,
                 struct tpm_pcr_values *ret_values, struct err *err) MUST_CHECK;

#endif
