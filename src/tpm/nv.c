#include "tpm/nv.h"

#include <string.h>

#include "tpm/esys.h"

#define CHUNK 512 /* bytes that every TPM reads at a time */

/* A name for an index that ESYS keeps; nothing is loaded in the TPM. */
struct index {
        struct tpm *tpm;
        ESYS_TR handle;
};

static void index_done(struct index *index)
{
        if (index->handle != ESYS_TR_NONE)
                (void)Esys_TR_Close(index->tpm->esys, &index->handle);
}
#define AUTO_INDEX CLEANUP(index_done)

uint32_t tpm_nv_ek_certificate(enum tpm_ek_kind kind)
{
        return kind == TPM_EK_RSA_2048 ? 0x01C00002 : 0x01C0000A;
}

/* No such handle: Part 3, 31.6 answers TPM_RC_HANDLE for an index that is not defined. */
static bool is_absent(TSS2_RC rc)
{
        TSS2_RC code = rc & ~TSS2_RC_LAYER_MASK;

        return (code & TPM2_RC_FMT1) != 0 && (code & (TPM2_RC_FMT1 | 0x3FU)) == TPM2_RC_HANDLE;
}

static int open_index(struct tpm *tpm, uint32_t number, struct index *ret, struct err *err)
{
        TSS2_RC rc = Esys_TR_FromTPMPublic(tpm->esys, number, ESYS_TR_NONE, ESYS_TR_NONE,
                                           ESYS_TR_NONE, &ret->handle);

        if (rc == TSS2_RC_SUCCESS)
                return 0;
        ret->handle = ESYS_TR_NONE;
        if (is_absent(rc))
                return err_set(err, ERR_NOT_FOUND, "no NV index 0x%08x", number);
        return tpm_result(tpm, rc, err, "open an NV index");
}

static int read_public(const struct index *index, size_t *ret_size, ESYS_TR *ret_auth,
                       struct err *err)
{
        TPM2B_NV_PUBLIC AUTO_ESYS *public = NULL;
        TPM2B_NAME AUTO_ESYS *name = NULL;
        TSS2_RC rc = Esys_NV_ReadPublic(index->tpm->esys, index->handle, ESYS_TR_NONE, ESYS_TR_NONE,
                                        ESYS_TR_NONE, &public, &name);

        if (tpm_result(index->tpm, rc, err, "read an NV index's public area") != 0)
                return err->code;
        *ret_size = public->nvPublic.dataSize;
        *ret_auth = (public->nvPublic.attributes & TPMA_NV_AUTHREAD) != 0 ? index->handle
                                                                          : ESYS_TR_RH_OWNER;
        return 0;
}

static int read_chunk(const struct index *index, ESYS_TR auth, struct tpm_nv *nv, size_t len,
                      struct err *err)
{
        TPM2B_MAX_NV_BUFFER AUTO_ESYS *data = NULL;
        TSS2_RC rc = Esys_NV_Read(index->tpm->esys, auth, index->handle, ESYS_TR_PASSWORD,
                                  ESYS_TR_NONE, ESYS_TR_NONE, (UINT16)len, (UINT16)nv->len, &data);

        if (tpm_result(index->tpm, rc, err, "read an NV index") != 0)
                return err->code;
        if (data->size != len)
                return err_set(err, ERR_TPM, "the TPM gives %u of %zu bytes", data->size, len);
        memcpy(nv->data + nv->len, data->buffer, len);
        nv->len += len;
        return 0;
}

int tpm_nv_read(struct tpm *tpm, uint32_t number, struct tpm_nv *ret_nv, struct err *err)
{
        struct index AUTO_INDEX index = {tpm, ESYS_TR_NONE};
        struct tpm_nv nv = {.len = 0};
        ESYS_TR auth = ESYS_TR_NONE;
        size_t size = 0;

        if (open_index(tpm, number, &index, err) != 0 ||
            read_public(&index, &size, &auth, err) != 0)
                return err->code;
        if (size > sizeof(nv.data))
                return err_set(err, ERR_LIMIT, "NV index of %zu bytes", size);
        while (nv.len < size) {
                size_t left = size - nv.len;

                if (read_chunk(&index, auth, &nv, left < CHUNK ? left : CHUNK, err) != 0)
                        return err->code;
        }
        *ret_nv = nv;
        return 0;
}
