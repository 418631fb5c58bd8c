#include "tpmwire/command.h"

#include "tpmwire/public.h"
#include "tpmwire/tpm-const.h"

#define TAG_NO_SESSIONS 0x8001
#define TAG_SESSIONS    0x8002

#define CC_EVICT_CONTROL  0x120
#define CC_CREATE_PRIMARY 0x131
#define CC_STARTUP        0x144
#define CC_SHUTDOWN       0x145
#define CC_NV_READ        0x14e
#define CC_FLUSH_CONTEXT  0x165
#define CC_NV_READ_PUBLIC 0x169
#define CC_READ_PUBLIC    0x173
#define CC_GET_CAPABILITY 0x17a

#define RS_PASSWORD 0x40000009

#define HEADER_SIZE 10
#define POLICY_MAX  64

/* Appends the header and returns where its size stands. */
static size_t put_header(struct writer *w, uint16_t tag, uint32_t code)
{
        size_t size_at;

        writer_put_be16(w, tag);
        size_at = w->len;
        writer_put_be32(w, 0);
        writer_put_be32(w, code);
        return size_at;
}

/* The header's tag stands two bytes before its size. */
static void finish(struct writer *w, size_t size_at)
{
        writer_patch_be32(w, size_at, (uint32_t)(w->len - (size_at - 2)));
}

static void put_state_command(struct writer *w, uint32_t code)
{
        size_t size_at = put_header(w, TAG_NO_SESSIONS, code);

        writer_put_be16(w, 0); /* TPM_SU_CLEAR */
        finish(w, size_at);
}

void command_put_startup(struct writer *w)
{
        put_state_command(w, CC_STARTUP);
}

void command_put_shutdown(struct writer *w)
{
        put_state_command(w, CC_SHUTDOWN);
}

void command_put_flush(struct writer *w, uint32_t handle)
{
        size_t size_at = put_header(w, TAG_NO_SESSIONS, CC_FLUSH_CONTEXT);

        writer_put_be32(w, handle);
        finish(w, size_at);
}

static void put_template(struct writer *w, const struct tpm_public *template)
{
        uint8_t memory[TPM_PUBLIC_MAX];
        struct writer public;

        writer_init_fixed(&public, memory, sizeof(memory));
        tpm_public_put(&public, template);
        writer_put_tpm2b(w, writer_bytes(&public));
}

/* One password session, empty nonce and authorisation. */
static void put_empty_auth(struct writer *w)
{
        writer_put_be32(w, 9);
        writer_put_be32(w, RS_PASSWORD);
        writer_put_be16(w, 0);
        writer_put_u8(w, 0);
        writer_put_be16(w, 0);
}

void command_put_create_ek(struct writer *w, enum tpm_ek_kind kind)
{
        size_t size_at = put_header(w, TAG_SESSIONS, CC_CREATE_PRIMARY);

        writer_put_be32(w, TPM_RH_ENDORSEMENT);
        put_empty_auth(w);
        writer_put_be16(w, 4); /* TPM2B_SENSITIVE_CREATE: two empty buffers */
        writer_put_be32(w, 0);
        put_template(w, &tpm_ek(kind)->template);
        writer_put_be16(w, 0); /* outsideInfo */
        writer_put_be32(w, 0); /* creationPCR */
        finish(w, size_at);
}

void command_put_keep(struct writer *w, uint32_t object, uint32_t handle)
{
        size_t size_at = put_header(w, TAG_SESSIONS, CC_EVICT_CONTROL);

        writer_put_be32(w, TPM_RH_OWNER);
        writer_put_be32(w, object);
        put_empty_auth(w);
        writer_put_be32(w, handle);
        finish(w, size_at);
}

void command_put_read_public(struct writer *w, uint32_t object)
{
        size_t size_at = put_header(w, TAG_NO_SESSIONS, CC_READ_PUBLIC);

        writer_put_be32(w, object);
        finish(w, size_at);
}

void command_put_get_algorithms(struct writer *w)
{
        size_t size_at = put_header(w, TAG_NO_SESSIONS, CC_GET_CAPABILITY);

        writer_put_be32(w, 0); /* TPM_CAP_ALGS */
        writer_put_be32(w, 0); /* from the first */
        writer_put_be32(w, 254);
        finish(w, size_at);
}

void command_put_nv_read_public(struct writer *w, uint32_t index)
{
        size_t size_at = put_header(w, TAG_NO_SESSIONS, CC_NV_READ_PUBLIC);

        writer_put_be32(w, index);
        finish(w, size_at);
}

void command_put_nv_read(struct writer *w, uint32_t index, uint16_t size, uint16_t offset)
{
        size_t size_at = put_header(w, TAG_SESSIONS, CC_NV_READ);

        writer_put_be32(w, index);
        writer_put_be32(w, index);
        put_empty_auth(w);
        writer_put_be16(w, size);
        writer_put_be16(w, offset);
        finish(w, size_at);
}

static int get_header(struct reader *r, uint16_t *tag, uint32_t *code)
{
        uint32_t size;

        if (reader_get_be16(r, tag) != 0 || reader_get_be32(r, &size) != 0 ||
            reader_get_be32(r, code) != 0 || size < HEADER_SIZE ||
            size - HEADER_SIZE != reader_left(r))
                return ERR_MALFORMED;
        return 0;
}

int response_code(struct bytes response, uint32_t *ret_code, struct err *err)
{
        struct reader r = reader_from_bytes(response);
        uint16_t tag;
        uint32_t code;

        if (get_header(&r, &tag, &code) != 0)
                return err_set(err, ERR_MALFORMED, "TPM response: bad header");
        *ret_code = code;
        return 0;
}

int response_get_primary(struct bytes response, uint32_t *ret_handle, struct bytes *ret_public,
                         struct err *err)
{
        struct reader r = reader_from_bytes(response);
        struct reader parameters;
        uint16_t tag;
        uint32_t code;
        uint32_t handle;
        uint32_t size;
        struct bytes public;

        if (get_header(&r, &tag, &code) != 0)
                return err_set(err, ERR_MALFORMED, "TPM response: bad header");
        if (code != 0)
                return err_set(err, ERR_TPM, "TPM2_CreatePrimary: response code 0x%x", code);
        if (tag != TAG_SESSIONS || reader_get_be32(&r, &handle) != 0 ||
            reader_get_be32(&r, &size) != 0 || reader_get_child(&r, size, &parameters) != 0 ||
            reader_get_tpm2b(&parameters, TPM_PUBLIC_MAX, &public) != 0)
                return err_set(err, ERR_MALFORMED, "TPM2_CreatePrimary: malformed at offset %zu",
                               reader_offset(&r));
        *ret_handle = handle;
        /* With its size field, as everybody passes it on. */
        *ret_public = (struct bytes){public.data - 2, public.len + 2};
        return 0;
}

int response_get_nv_size(struct bytes response, uint16_t *ret_size, struct err *err)
{
        struct reader r = reader_from_bytes(response);
        struct reader public;
        struct bytes policy;
        uint16_t tag;
        uint16_t size;
        uint32_t code;

        /* TPMS_NV_PUBLIC: the index, a hash algorithm, attributes, a policy, the size. */
        if (get_header(&r, &tag, &code) != 0 || code != 0 || tag != TAG_NO_SESSIONS ||
            reader_get_be16(&r, &size) != 0 || reader_get_child(&r, size, &public) != 0 ||
            reader_skip(&public, 10) != 0 || reader_get_tpm2b(&public, POLICY_MAX, &policy) != 0 ||
            reader_get_be16(&public, &size) != 0 || reader_left(&public) != 0)
                return err_set(err, ERR_MALFORMED, "TPM2_NV_ReadPublic: malformed");
        *ret_size = size;
        return 0;
}

int response_get_nv_data(struct bytes response, struct bytes *ret_data, struct err *err)
{
        struct reader r = reader_from_bytes(response);
        struct reader parameters;
        struct bytes data;
        uint16_t tag;
        uint32_t code;
        uint32_t size;

        if (get_header(&r, &tag, &code) != 0 || code != 0 || tag != TAG_SESSIONS ||
            reader_get_be32(&r, &size) != 0 || reader_get_child(&r, size, &parameters) != 0 ||
            reader_get_tpm2b(&parameters, TPM_RESPONSE_MAX, &data) != 0 ||
            reader_left(&parameters) != 0)
                return err_set(err, ERR_MALFORMED, "TPM2_NV_Read: malformed");
        *ret_data = data;
        return 0;
}
