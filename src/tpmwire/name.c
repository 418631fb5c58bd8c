#include "tpmwire/name.h"

#include <string.h>

#include "crypto/hash.h"

/* alg || H(parts) as a name. */
static int name_from_parts(uint16_t alg, const struct bytes *parts, size_t count,
                           struct tpm_name *ret_name, struct err *err)
{
        const struct hash_alg *hash = hash_by_tpm_id(alg);
        struct tpm_name name = {.data = {(uint8_t)(alg >> 8), (uint8_t)(alg & 0xff)}};
        int rc;

        if (hash == NULL)
                return err_set(err, ERR_UNSUPPORTED, "name algorithm 0x%04x", alg);
        rc = hash_digest_parts(hash, parts, count, name.data + 2, err);
        if (rc != 0)
                return rc;
        name.len = 2 + hash->size;
        *ret_name = name;
        return 0;
}

int tpm_name_of_public(const struct tpm_public *public, struct tpm_name *ret_name, struct err *err)
{
        return name_from_parts(public->name_alg, &public->tpmt, 1, ret_name, err);
}

struct tpm_name tpm_name_of_handle(uint32_t handle)
{
        return (struct tpm_name){
            .data = {(uint8_t)(handle >> 24), (uint8_t)(handle >> 16 & 0xff),
                     (uint8_t)(handle >> 8 & 0xff), (uint8_t)(handle & 0xff)},
            .len = 4,
        };
}

int tpm_name_qualify(const struct tpm_name *parent, const struct tpm_name *name,
                     struct tpm_name *ret_qualified, struct err *err)
{
        const struct bytes parts[] = {tpm_name_bytes(parent), tpm_name_bytes(name)};

        if (name->len <= 4 || parent->len == 0)
                return err_set(err, ERR_MALFORMED, "%zu bytes are no name", name->len);
        return name_from_parts((uint16_t)(name->data[0] << 8 | name->data[1]), parts,
                               ARRAY_SIZE(parts), ret_qualified, err);
}
