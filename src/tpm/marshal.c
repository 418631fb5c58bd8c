#include "tpm/marshal.h"

#include <string.h>
#include <tss2/tss2_mu.h>

/* One body for every structure that goes out; only the type and tss2's function differ. */
#define DEFINE_MARSHAL(name, type, fn)                                                             \
        int marshal_##name(const type *in, struct tpm_blob *ret_blob, struct err *err)             \
        {                                                                                          \
                uint8_t data[TPM_BLOB_MAX];                                                        \
                size_t len = 0;                                                                    \
                                                                                                   \
                if (fn(in, data, sizeof(data), &len) != TSS2_RC_SUCCESS)                           \
                        return err_set(err, ERR_LIMIT, "a " #type " of the TPM is too large");     \
                return marshal_bytes(data, len, ret_blob, err);                                    \
        }

int marshal_bytes(const void *data, size_t len, struct tpm_blob *ret_blob, struct err *err)
{
        if (len > sizeof(ret_blob->data))
                return err_set(err, ERR_LIMIT, "the TPM gave %zu bytes, at most %zu fit", len,
                               sizeof(ret_blob->data));
        memcpy(ret_blob->data, data, len);
        ret_blob->len = len;
        return 0;
}

DEFINE_MARSHAL(public, TPM2B_PUBLIC, Tss2_MU_TPM2B_PUBLIC_Marshal)
DEFINE_MARSHAL(private, TPM2B_PRIVATE, Tss2_MU_TPM2B_PRIVATE_Marshal)
DEFINE_MARSHAL(signature, TPMT_SIGNATURE, Tss2_MU_TPMT_SIGNATURE_Marshal)

int unmarshal_public(const struct tpm_blob *blob, TPM2B_PUBLIC *ret_out, struct err *err)
{
        TPM2B_PUBLIC out = {0};
        size_t used = 0;

        if (blob->len > sizeof(blob->data) ||
            Tss2_MU_TPM2B_PUBLIC_Unmarshal(blob->data, blob->len, &used, &out) != TSS2_RC_SUCCESS ||
            used != blob->len)
                return err_set(err, ERR_MALFORMED, "not a well-formed TPM2B_PUBLIC");
        *ret_out = out;
        return 0;
}

int unmarshal_private(const struct tpm_blob *blob, TPM2B_PRIVATE *ret_out, struct err *err)
{
        TPM2B_PRIVATE out = {0};
        size_t used = 0;

        if (blob->len > sizeof(blob->data) ||
            Tss2_MU_TPM2B_PRIVATE_Unmarshal(blob->data, blob->len, &used, &out) !=
                TSS2_RC_SUCCESS ||
            used != blob->len)
                return err_set(err, ERR_MALFORMED, "not a well-formed TPM2B_PRIVATE");
        *ret_out = out;
        return 0;
}
