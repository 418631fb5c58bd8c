#include "tpmwire/kdf.h"

#include <string.h>

#include "crypto/hmac.h"

static void put_be32(uint8_t *ret, size_t v)
{
        ret[0] = (uint8_t)(v >> 24 & 0xff);
        ret[1] = (uint8_t)(v >> 16 & 0xff);
        ret[2] = (uint8_t)(v >> 8 & 0xff);
        ret[3] = (uint8_t)(v & 0xff);
}

static struct bytes label_bytes(const char *label)
{
        return (struct bytes){(const uint8_t *)label, strlen(label) + 1};
}

/* Copies as much of a block as still fits behind the bytes that are done. */
static void take_block(struct secret *key, size_t done, const uint8_t *block, size_t size)
{
        size_t n = key->len - done < size ? key->len - done : size;

        memcpy(key->data + done, block, n);
}

int tpm_kdfa(const struct hash_alg *alg, const struct secret *key, const char *label,
             struct bytes context_u, struct bytes context_v, size_t len, struct secret **ret_key,
             struct err *err)
{
        struct secret AUTO_SECRET *derived = NULL;
        struct secret AUTO_SECRET *block = NULL;
        uint8_t counter[4];
        uint8_t bits[4];
        const struct bytes parts[] = {
            {counter, 4}, label_bytes(label), context_u, context_v, {bits, 4}};
        int rc = secret_new(len, &derived, err);

        if (rc == 0)
                rc = secret_new(alg->size, &block, err);
        put_be32(bits, len * 8);
        for (size_t done = 0, i = 1; rc == 0 && done < len; done += alg->size, i++) {
                put_be32(counter, i);
                rc = hmac_parts(alg, key, parts, ARRAY_SIZE(parts), block->data, err);
                if (rc == 0)
                        take_block(derived, done, block->data, alg->size);
        }
        if (rc != 0)
                return rc;
        *ret_key = TAKE(derived);
        return 0;
}

int tpm_kdfe(const struct hash_alg *alg, const struct secret *z, const char *label,
             struct bytes party_u, struct bytes party_v, size_t len, struct secret **ret_key,
             struct err *err)
{
        struct secret AUTO_SECRET *derived = NULL;
        struct secret AUTO_SECRET *block = NULL;
        uint8_t counter[4];
        const struct bytes parts[] = {
            {counter, 4}, {z->data, z->len}, label_bytes(label), party_u, party_v};
        int rc = secret_new(len, &derived, err);

        if (rc == 0)
                rc = secret_new(alg->size, &block, err);
        for (size_t done = 0, i = 1; rc == 0 && done < len; done += alg->size, i++) {
                put_be32(counter, i);
                rc = hash_digest_parts(alg, parts, ARRAY_SIZE(parts), block->data, err);
                if (rc == 0)
                        take_block(derived, done, block->data, alg->size);
        }
        if (rc != 0)
                return rc;
        *ret_key = TAKE(derived);
        return 0;
}
