/*
 * The few TPM commands that the TCB sends to engines of its own, as bytes, and the responses it
 * expects (TPM 2.0 Part 3). Everything else goes through ESYS.
 */
#ifndef TPMWIRE_COMMAND_H
#define TPMWIRE_COMMAND_H

#include "base/reader.h"
#include "base/writer.h"
#include "tpmwire/ek.h"

#define TPM_RESPONSE_MAX 4096

/* TPM2_Startup(CLEAR), TPM2_Shutdown(CLEAR), TPM2_FlushContext(handle). */
void command_put_startup(struct writer *w);
void command_put_shutdown(struct writer *w);
void command_put_flush(struct writer *w, uint32_t handle);

/* TPM2_CreatePrimary of an endorsement key by its template, with empty authorisations. */
void command_put_create_ek(struct writer *w, enum tpm_ek_kind kind);

/* TPM2_EvictControl by the owner: keeps a loaded object at a persistent handle. */
void command_put_keep(struct writer *w, uint32_t object, uint32_t handle);

/* TPM2_ReadPublic. */
void command_put_read_public(struct writer *w, uint32_t object);

/* TPM2_GetCapability of all algorithms. */
void command_put_get_algorithms(struct writer *w);

/* TPM2_NV_ReadPublic and TPM2_NV_Read by the index's own, empty authorisation. */
void command_put_nv_read_public(struct writer *w, uint32_t index);
void command_put_nv_read(struct writer *w, uint32_t index, uint16_t size, uint16_t offset);

/* The response code; ERR_MALFORMED for what is no response. Nothing may follow its size. */
int response_code(struct bytes response, uint32_t *ret_code, struct err *err) MUST_CHECK;

/* From a successful TPM2_CreatePrimary: the handle and the TPM2B_PUBLIC with its size field. */
int response_get_primary(struct bytes response, uint32_t *ret_handle, struct bytes *ret_public,
                         struct err *err) MUST_CHECK;

/* From a successful TPM2_NV_ReadPublic: how many bytes the index has. */
int response_get_nv_size(struct bytes response, uint16_t *ret_size, struct err *err) MUST_CHECK;

/* From a successful TPM2_NV_Read. */
int response_get_nv_data(struct bytes response, struct bytes *ret_data, struct err *err) MUST_CHECK;

#endif
