#include "swtpm/setup-command.h"

#include <string.h>

#include "crypto/hash.h"
#include "tpmwire/tpm-const.h"

#define TAG_SESSIONS      0x8002
#define CC_NV_DEFINE      0x12a
#define CC_PCR_ALLOCATE   0x12b
#define CC_NV_WRITE       0x137
#define CC_NV_WRITELOCK   0x138
#define CC_GET_CAPABILITY 0x17a
#define CAP_PROPERTIES    6
#define TAG_NO_SESSIONS   0x8001
#define RESPONSE_HEADER   10
#define RS_PASSWORD       0x40000009
#define RH_PLATFORM       0x4000000c
#define PCR_BYTES         3 /* 24 PCRs */

/* TPMA_NV (Part 2, 13.4): PPWRITE, PPREAD, OWNERREAD, AUTHREAD, NO_DA, PLATFORMCREATE. */
#define NV_ATTRIBUTES  0x42070001U
#define NV_WRITEDEFINE (1U << 13)

static const struct {
        const char *name;
        uint16_t alg;
} banks[SETUP_BANKS] = {
    [SETUP_SHA1] = {"sha1", HASH_TPM_SHA1},
    [SETUP_SHA256] = {"sha256", HASH_TPM_SHA256},
    [SETUP_SHA384] = {"sha384", HASH_TPM_SHA384},
    [SETUP_SHA512] = {"sha512", HASH_TPM_SHA512},
};

static size_t start(struct writer *w, uint32_t code)
{
        const size_t at = w->len;

        writer_put_be16(w, TAG_SESSIONS);
        writer_put_be32(w, 0);
        writer_put_be32(w, code);
        writer_put_be32(w, RH_PLATFORM);
        return at;
}

/* One password session, empty nonce and authorisation. */
static void put_auth(struct writer *w)
{
        writer_put_be32(w, 9);
        writer_put_be32(w, RS_PASSWORD);
        writer_put_be16(w, 0);
        writer_put_u8(w, 0);
        writer_put_be16(w, 0);
}

static void finish(struct writer *w, size_t at)
{
        writer_patch_be32(w, at + 2, (uint32_t)(w->len - at));
}

void setup_put_nv_define(struct writer *w, uint32_t index, uint16_t size, bool lockable)
{
        const size_t at = start(w, CC_NV_DEFINE);

        put_auth(w);
        writer_put_be16(w, 0);  /* authorisation of the index */
        writer_put_be16(w, 14); /* TPM2B_NV_PUBLIC */
        writer_put_be32(w, index);
        writer_put_be16(w, HASH_TPM_SHA256);
        writer_put_be32(w, NV_ATTRIBUTES | (lockable ? NV_WRITEDEFINE : 0));
        writer_put_be16(w, 0); /* policy */
        writer_put_be16(w, size);
        finish(w, at);
}

void setup_put_nv_write(struct writer *w, uint32_t index, struct bytes data, uint16_t offset)
{
        const size_t at = start(w, CC_NV_WRITE);

        writer_put_be32(w, index);
        put_auth(w);
        writer_put_tpm2b(w, data);
        writer_put_be16(w, offset);
        finish(w, at);
}

void setup_put_nv_lock(struct writer *w, uint32_t index)
{
        const size_t at = start(w, CC_NV_WRITELOCK);

        writer_put_be32(w, index);
        put_auth(w);
        finish(w, at);
}

void setup_put_allocate(struct writer *w, unsigned mask)
{
        const size_t at = start(w, CC_PCR_ALLOCATE);

        put_auth(w);
        writer_put_be32(w, SETUP_BANKS);
        for (unsigned i = 0; i < SETUP_BANKS; i++) {
                writer_put_be16(w, banks[i].alg);
                writer_put_u8(w, PCR_BYTES);
                for (unsigned n = 0; n < PCR_BYTES; n++)
                        writer_put_u8(w, (mask & (1U << i)) != 0 ? 0xff : 0);
        }
        finish(w, at);
}

static int parse_bank(const char *name, size_t len, unsigned *mask, struct err *err)
{
        for (unsigned i = 0; i < SETUP_BANKS; i++)
                if (strlen(banks[i].name) == len && memcmp(banks[i].name, name, len) == 0) {
                        *mask |= 1U << i;
                        return 0;
                }
        return err_set(err, ERR_USAGE, "--pcr-banks: there is no bank \"%.*s\"", (int)len, name);
}

void setup_put_get_property(struct writer *w, uint32_t property)
{
        const size_t at = w->len;

        writer_put_be16(w, TAG_NO_SESSIONS);
        writer_put_be32(w, 0);
        writer_put_be32(w, CC_GET_CAPABILITY);
        writer_put_be32(w, CAP_PROPERTIES);
        writer_put_be32(w, property);
        writer_put_be32(w, 1);
        finish(w, at);
}

int setup_get_property(struct bytes response, uint32_t property, uint32_t *ret_value,
                       struct err *err)
{
        struct reader r = reader_from_bytes(response);
        uint8_t more;
        uint32_t capability;
        uint32_t n;
        uint32_t found;
        uint32_t value;

        if (reader_skip(&r, RESPONSE_HEADER) != 0 || reader_get_u8(&r, &more) != 0 ||
            reader_get_be32(&r, &capability) != 0 || capability != CAP_PROPERTIES ||
            reader_get_be32(&r, &n) != 0 || n != 1 || reader_get_be32(&r, &found) != 0 ||
            found != property || reader_get_be32(&r, &value) != 0 || reader_finish(&r) != 0)
                return err_set(err, ERR_MALFORMED, "TPM2_GetCapability: no property 0x%x",
                               property);
        *ret_value = value;
        return 0;
}

int setup_parse_banks(const char *text, unsigned *ret_mask, struct err *err)
{
        unsigned mask = 0;

        for (;;) {
                const size_t len = strcspn(text, ",");
                const int rc = parse_bank(text, len, &mask, err);

                if (rc != 0)
                        return rc;
                if (text[len] == '\0')
                        break;
                text += len + 1;
        }
        *ret_mask = mask;
        return 0;
}
