/*
 * Names and qualified names of TPM objects (TPM 2.0 Part 1, 16 and 26.5): nameAlg and a digest.
 */
#ifndef TPMWIRE_NAME_H
#define TPMWIRE_NAME_H

#include "tpmwire/public.h"

struct tpm_name {
        uint8_t data[TPM_NAME_MAX];
        size_t len; /* 4 for a hierarchy's handle, otherwise 2 + digest size */
};

/* nameAlg || H(TPMT_PUBLIC). ERR_UNSUPPORTED for a nameAlg that we do not have. */
int tpm_name_of_public(const struct tpm_public *public, struct tpm_name *ret_name,
                       struct err *err) MUST_CHECK;

/* The name of a hierarchy or another permanent handle: its four bytes (Part 1, 16). */
struct tpm_name tpm_name_of_handle(uint32_t handle);

/*
 * nameAlg || H(qualified name of the parent || name), with the nameAlg of name. A primary key's
 * parent is its hierarchy's handle. ERR_MALFORMED if name is no object's name.
 */
int tpm_name_qualify(const struct tpm_name *parent, const struct tpm_name *name,
                     struct tpm_name *ret_qualified, struct err *err) MUST_CHECK;

static inline struct bytes tpm_name_bytes(const struct tpm_name *name)
{
        return (struct bytes){name->data, name->len};
}

#endif
