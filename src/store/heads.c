#include "store/heads.h"

#include <string.h>

#include "base/writer.h"
#include "crypto/hash.h"
#include "crypto/hmac.h"

/* Every MAC under the heads key starts with one of these. */
enum { USE_RECORD = 1, USE_INSTANCE = 2, USE_HEADS = 3, USE_SAVES = 4 };

#define HEAD_LEN     (8 + HEADS_TAG_LEN)
#define INSTANCE_MAX (1 + 2 + STORE_NAME_MAX + 4 + 8 + HEADS_KINDS * HEAD_LEN + BLOCK_ENCODED_MAX)

static int mac(struct hmac *key, const struct writer *w, uint8_t *ret_mac, struct err *err)
{
        if (writer_check(w) != 0)
                return err_set(err, ERR_LIMIT, "row too large");
        return hmac_run(key, writer_bytes(w), ret_mac, err);
}

static void put_name(struct writer *w, const char *name)
{
        writer_put_tpm2b(w, (struct bytes){(const uint8_t *)name, strlen(name)});
}

static int record_leaf(struct hmac *key, const char *name, struct bytes value, uint8_t *ret_leaf,
                       struct err *err)
{
        uint8_t memory[1 + 2 + STORE_NAME_MAX + HEADS_LEN];
        uint8_t digest[HEADS_LEN];
        struct writer w;
        int rc = hash_digest(hash_by_tpm_id(HASH_TPM_SHA256), value.data, value.len, digest, err);

        if (rc != 0)
                return rc;
        writer_init_fixed(&w, memory, sizeof(memory));
        writer_put_u8(&w, USE_RECORD);
        put_name(&w, name);
        writer_put(&w, digest, sizeof(digest));
        return mac(key, &w, ret_leaf, err);
}

int heads_instance_leaf(struct hmac *key, const struct store_instance *instance,
                        const struct head *head, uint8_t ret_leaf[HEADS_LEN], struct err *err)
{
        uint8_t memory[INSTANCE_MAX];
        struct writer w;

        writer_init_fixed(&w, memory, sizeof(memory));
        writer_put_u8(&w, USE_INSTANCE);
        put_name(&w, instance->name);
        writer_put_be32(&w, (uint32_t)instance->state);
        writer_put_be64(&w, instance->sequence);
        for (size_t i = 0; i < HEADS_KINDS; i++) {
                writer_put_be64(&w, head[i].sequence);
                writer_put(&w, head[i].tag, HEADS_TAG_LEN);
        }
        security_block_encode(&instance->block, &w);
        return mac(key, &w, ret_leaf, err);
}

/* Adding and removing are the same XOR. */
static void toggle(struct heads *heads, const uint8_t *leaf)
{
        for (size_t i = 0; i < HEADS_LEN; i++)
                heads->sum[i] ^= leaf[i];
}

void heads_replace(struct heads *heads, const uint8_t old[HEADS_LEN], const uint8_t by[HEADS_LEN])
{
        toggle(heads, old);
        toggle(heads, by);
}

int heads_add_record(struct heads *heads, struct hmac *key, const char *name, struct bytes value,
                     struct err *err)
{
        uint8_t leaf[HEADS_LEN];
        int rc = record_leaf(key, name, value, leaf, err);

        if (rc != 0)
                return rc;
        toggle(heads, leaf);
        heads->rows++;
        return 0;
}

int heads_remove_record(struct heads *heads, struct hmac *key, const char *name, struct bytes value,
                        struct err *err)
{
        int rc = heads_add_record(heads, key, name, value, err);

        if (rc == 0)
                heads->rows -= 2;
        return rc;
}

int heads_add_instance(struct heads *heads, struct hmac *key, const struct store_instance *instance,
                       const struct head *head, struct err *err)
{
        uint8_t leaf[HEADS_LEN];
        int rc = heads_instance_leaf(key, instance, head, leaf, err);

        if (rc != 0)
                return rc;
        toggle(heads, leaf);
        heads->rows++;
        return 0;
}

int heads_remove_instance(struct heads *heads, struct hmac *key,
                          const struct store_instance *instance, const struct head *head,
                          struct err *err)
{
        int rc = heads_add_instance(heads, key, instance, head, err);

        if (rc == 0)
                heads->rows -= 2;
        return rc;
}

int heads_mac(const struct heads *heads, struct hmac *key, uint64_t generation,
              uint8_t ret_mac[HEADS_LEN], struct err *err)
{
        uint8_t memory[1 + 8 + 8 + HEADS_LEN];
        struct writer w;

        writer_init_fixed(&w, memory, sizeof(memory));
        writer_put_u8(&w, USE_HEADS);
        writer_put_be64(&w, generation);
        writer_put_be64(&w, heads->rows);
        writer_put(&w, heads->sum, HEADS_LEN);
        return mac(key, &w, ret_mac, err);
}

int heads_mac_saves(const struct heads *heads, struct hmac *key, struct bytes record,
                    uint8_t ret_mac[HEADS_LEN], struct err *err)
{
        uint8_t memory[1 + HEADS_LEN + 8 + HEADS_LEN];
        uint8_t digest[HEADS_LEN];
        struct writer w;
        int rc = hash_digest(hash_by_tpm_id(HASH_TPM_SHA256), record.data, record.len, digest, err);

        if (rc != 0)
                return rc;
        writer_init_fixed(&w, memory, sizeof(memory));
        writer_put_u8(&w, USE_SAVES);
        writer_put(&w, digest, sizeof(digest));
        writer_put_be64(&w, heads->rows);
        writer_put(&w, heads->sum, HEADS_LEN);
        return mac(key, &w, ret_mac, err);
}
