/*
 * Inside this library only: between tss2's structures and marshalled bytes.
 */
#ifndef TPM_MARSHAL_H
#define TPM_MARSHAL_H

#include "tpm/esys.h"

/* The bytes of a structure as they go over the wire; ERR_LIMIT if they do not fit a blob. */
int marshal_public(const TPM2B_PUBLIC *in, struct tpm_blob *ret_blob, struct err *err) MUST_CHECK;
int marshal_private(const TPM2B_PRIVATE *in, struct tpm_blob *ret_blob, struct err *err) MUST_CHECK;
int marshal_signature(const TPMT_SIGNATURE *in, struct tpm_blob *ret_blob,
                      struct err *err) MUST_CHECK;
int marshal_bytes(const void *data, size_t len, struct tpm_blob *ret_blob,
                  struct err *err) MUST_CHECK;

/* Each takes the whole blob and refuses bytes that are left over (ERR_MALFORMED). */
int unmarshal_public(const struct tpm_blob *blob, TPM2B_PUBLIC *ret_out,
                     struct err *err) MUST_CHECK;
int unmarshal_private(const struct tpm_blob *blob, TPM2B_PRIVATE *ret_out,
                      struct err *err) MUST_CHECK;

#endif
