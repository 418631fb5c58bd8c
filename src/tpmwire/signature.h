/*
 * TPMT_SIGNATURE (TPM 2.0 Part 2, 11.3.4): ECDSA, RSASSA and RSAPSS. Every other algorithm is
 * refused by its name.
 */
#ifndef TPMWIRE_SIGNATURE_H
#define TPMWIRE_SIGNATURE_H

#include "base/reader.h"
#include "base/writer.h"
#include "tpmwire/tpm-const.h"

/* Views point into the parsed bytes. */
struct tpm_signature {
        uint16_t alg;      /* TPM_ALG_ECDSA, TPM_ALG_RSASSA or TPM_ALG_RSAPSS */
        uint16_t hash;     /* TPM_ALG_ID, known to us or not */
        struct bytes r, s; /* ECDSA */
        struct bytes rsa;  /* RSASSA, RSAPSS */
};

/*
 * Reads exactly one signature. Errors: ERR_MALFORMED, ERR_UNSUPPORTED for a well-known algorithm
 * that is not accepted (NULL, HMAC, ECDAA, ...), with the name in err.
 */
int tpm_signature_parse(struct bytes bytes, struct tpm_signature *ret_signature,
                        struct err *err) MUST_CHECK;

/* Marshals a TPMT_SIGNATURE (TPM 2.0 Part 2, 11.3.4). */
void tpm_signature_put(struct writer *w, const struct tpm_signature *signature);

/* The specification's name of an asymmetric, signing or NULL algorithm, or "unknown". */
const char *tpm_alg_name(uint16_t alg);

#endif
