#include "tpmwire/command.h"

#include "crypto/hash.h"
#include "tpmwire/public.h"
#include "tpmwire/tpm-const.h"

#define TAG_NO_SESSIONS 0x8001
#define TAG_SESSIONS    0x8002

#define CC_CREATE_PRIMARY 0x131
#define CC_STARTUP        0x144
#define CC_SHUTDOWN       0x145
#define CC_FLUSH_CONTEXT  0x165

#define RH_ENDORSEMENT 0x4000000b
#define RS_PASSWORD    0x40000009

#define HEADER_SIZE 10

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

/* Template L-2: the policy is PolicySecret(TPM_RH_ENDORSEMENT) (EK Credential Profile, B.3.4). */
static void put_ek_template(struct writer *w)
{
        static const uint8_t policy[32] = {0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8,
                                           0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,
                                           0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64,
                                           0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa};
        static const uint8_t zeros[32] = {0};
        const struct tpm_public ek = {
            .type = TPM_ALG_ECC,
            .name_alg = HASH_TPM_SHA256,
            .attributes = 0x000300b2, /* fixedTPM fixedParent sensitiveDataOrigin adminWithPolicy
                                         restricted decrypt */
            .auth_policy = {policy, sizeof(policy)},
            .sym_alg = TPM_ALG_AES,
            .sym_bits = 128,
            .sym_mode = TPM_ALG_CFB,
            .scheme = TPM_ALG_NULL,
            .ecc_curve = TPM_ECC_NIST_P256,
            .ecc_kdf = TPM_ALG_NULL,
            .ecc_x = {zeros, sizeof(zeros)},
            .ecc_y = {zeros, sizeof(zeros)},
        };
        uint8_t memory[TPM_PUBLIC_MAX];
        struct writer public;

        writer_init_fixed(&public, memory, sizeof(memory));
        tpm_public_put(&public, &ek);
        writer_put_tpm2b(w, writer_bytes(&public));
}

void command_put_create_ek(struct writer *w)
{
        size_t size_at = put_header(w, TAG_SESSIONS, CC_CREATE_PRIMARY);

        writer_put_be32(w, RH_ENDORSEMENT);
        writer_put_be32(w, 9); /* one password session, empty nonce and authorisation */
        writer_put_be32(w, RS_PASSWORD);
        writer_put_be16(w, 0);
        writer_put_u8(w, 0);
        writer_put_be16(w, 0);
        writer_put_be16(w, 4); /* TPM2B_SENSITIVE_CREATE: two empty buffers */
        writer_put_be32(w, 0);
        put_ek_template(w);
        writer_put_be16(w, 0); /* outsideInfo */
        writer_put_be32(w, 0); /* creationPCR */
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
