#include "tpmwire/qualify.h"

#include <string.h>

#include "base/writer.h"
#include "crypto/hash.h"

static const char *const labels[QUALIFY_LABELS] = {
    [QUALIFY_TREE] = "tree", [QUALIFY_VM] = "vm",           [QUALIFY_ENROL] = "enrol",
    [QUALIFY_KMC] = "kmc",   [QUALIFY_MIGRATE] = "migrate",
};

static struct bytes view(const void *data, size_t len)
{
        return (struct bytes){.data = data, .len = len};
}

int qualify_digest(enum qualify_label label, const struct bytes *fields, size_t n_fields,
                   uint8_t ret_digest[QUALIFY_SIZE], struct err *err)
{
        uint8_t memory[QUALIFY_BYTES_MAX + 2 * QUALIFY_FIELDS_MAX + 16];
        struct writer w;

        if ((unsigned)label >= QUALIFY_LABELS || n_fields > QUALIFY_FIELDS_MAX)
                return err_set(err, ERR_LIMIT, "qualifying data of %zu fields", n_fields);
        writer_init_fixed(&w, memory, sizeof(memory));
        writer_put_tpm2b(&w, view(labels[label], strlen(labels[label])));
        for (size_t i = 0; i < n_fields; i++)
                writer_put_tpm2b(&w, fields[i]);
        if (writer_check(&w) != 0)
                return err_set(err, ERR_LIMIT, "qualifying data \"%s\": fields too long",
                               labels[label]);
        return hash_digest(hash_by_tpm_id(HASH_TPM_SHA256), w.data, w.len, ret_digest, err);
}

int qualify_vm(const struct qualify_vm *vm, uint8_t ret_digest[QUALIFY_SIZE], struct err *err)
{
        uint8_t epoch[8];
        struct writer w;
        struct bytes fields[] = {
            view(vm->nonce, QUALIFY_NONCE_SIZE),
            view(vm->uuid, QUALIFY_UUID_SIZE),
            view(epoch, sizeof(epoch)),
            vm->cek_name,
            vm->ek_name,
        };

        writer_init_fixed(&w, epoch, sizeof(epoch));
        writer_put_be64(&w, vm->epoch);
        return qualify_digest(QUALIFY_VM, fields, ARRAY_SIZE(fields), ret_digest, err);
}

int qualify_tree(struct bytes cek_name, uint64_t size, const uint8_t root[32],
                 uint8_t ret_digest[QUALIFY_SIZE], struct err *err)
{
        uint8_t count[8];
        struct writer w;
        struct bytes fields[] = {cek_name, view(count, sizeof(count)), view(root, 32)};

        writer_init_fixed(&w, count, sizeof(count));
        writer_put_be64(&w, size);
        return qualify_digest(QUALIFY_TREE, fields, ARRAY_SIZE(fields), ret_digest, err);
}

int qualify_enrol(struct bytes ak_name, struct bytes key_name, uint8_t ret_digest[QUALIFY_SIZE],
                  struct err *err)
{
        struct bytes fields[] = {ak_name, key_name};

        return qualify_digest(QUALIFY_ENROL, fields, ARRAY_SIZE(fields), ret_digest, err);
}

int qualify_quote_digest(struct bytes attest, struct bytes signature,
                         uint8_t ret_digest[QUALIFY_SIZE], struct err *err)
{
        struct bytes parts[] = {attest, signature};

        return hash_digest_parts(hash_by_tpm_id(HASH_TPM_SHA256), parts, ARRAY_SIZE(parts),
                                 ret_digest, err);
}
