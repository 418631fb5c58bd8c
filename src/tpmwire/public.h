/*
 * TPMT_PUBLIC and TPM2B_PUBLIC of RSA and ECC keys (TPM 2.0 Part 2, 12.2.4 and 12.2.5).
 */
#ifndef TPMWIRE_PUBLIC_H
#define TPMWIRE_PUBLIC_H

#include "base/reader.h"
#include "base/writer.h"
#include "tpmwire/tpm-const.h"

#define TPM_PUBLIC_MAX 1024 /* bytes of a TPM2B_PUBLIC; RSA-4096 with a policy needs under 650 */

/* Views point into the parsed bytes. */
struct tpm_public {
        uint16_t type;       /* TPM_ALG_RSA or TPM_ALG_ECC */
        uint16_t name_alg;   /* TPM_ALG_ID of a hash, known to us or not */
        uint32_t attributes; /* TPMA_OBJECT_... */
        struct bytes auth_policy;
        uint16_t sym_alg; /* TPM_ALG_NULL or TPM_ALG_AES ...; what protects its children */
        uint16_t sym_bits;
        uint16_t sym_mode;
        uint16_t scheme;      /* TPM_ALG_NULL if the key has none */
        uint16_t scheme_hash; /* 0 where the scheme has no hash */
        uint16_t rsa_bits;
        uint32_t rsa_exponent; /* as written; 0 stands for 65537 */
        struct bytes rsa_n;
        uint16_t ecc_curve;
        uint16_t ecc_kdf;
        uint16_t ecc_kdf_hash;
        struct bytes ecc_x, ecc_y;
        struct bytes tpmt; /* the TPMT_PUBLIC itself: what a name is computed over */
};

/*
 * Reads exactly one TPMT_PUBLIC, with or without the size of a TPM2B_PUBLIC before it. Objects
 * that are no RSA or ECC key are ERR_UNSUPPORTED; ERR_MALFORMED with the offset otherwise.
 */
int tpm_public_parse(struct bytes bytes, struct tpm_public *ret_public, struct err *err) MUST_CHECK;

/* Appends the TPMT_PUBLIC; the tpmt view is not looked at. */
void tpm_public_put(struct writer *w, const struct tpm_public *public);

#endif
