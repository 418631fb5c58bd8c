#include "tcb/keys.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/kdf.h"
#include "tpmwire/public.h"

#define RECORD_STORAGE_KEY "storage-key"
#define RECORD_PTPM_KEYS   "ptpm-keys"
#define RECORD_PTPM_EK     "ptpm-ek"
#define KEYS_FORMAT        1
#define KEYS_MAX           8192

/* In the order in which the record has them. */
struct key_record {
        struct bytes ak_pub;
        struct bytes ak_priv;
        struct bytes cek_pub;
        struct bytes cek_priv;
        struct bytes cek_attest;
        struct bytes cek_signature;
};

static int commit(struct store *store, const char *name, struct bytes value, struct err *err)
{
        if (store_begin(store, err) != 0)
                return err->code;
        if (store_put_record(store, name, value, err) == 0 && store_commit(store, err) == 0)
                return 0;
        store_rollback(store);
        return err->code;
}

/* The storage key -------------------------------------------------------------------------- */

static int seal_new_key(struct store *store, struct ptpm *ptpm, struct secret **ret_key,
                        struct err *err)
{
        struct secret AUTO_SECRET *key = NULL;
        struct ptpm_seal seal = {.pcr_mask = PTPM_BOOT_PCRS};
        struct ptpm_sealed sealed;
        const struct ptpm_answer answer = {ptpm_sealed_code, &sealed, sizeof(sealed)};

        if (secret_new_random(STORE_KEY_LEN, &key, err) != 0)
                return err->code;
        seal.secret = (struct bytes){key->data, key->len};
        if (ptpm_call(ptpm, ptpm_seal_code, &seal, &answer, err) != 0 ||
            store_unlock(store, key, err) != 0 ||
            commit(store, RECORD_STORAGE_KEY, sealed.sealed, err) != 0)
                return err_wrap(err, "make the storage key");
        *ret_key = TAKE(key);
        return 0;
}

static int unseal_key(struct store *store, struct ptpm *ptpm, struct bytes sealed,
                      struct secret **ret_key, struct err *err)
{
        struct secret AUTO_SECRET *key = NULL;
        struct ptpm_unseal unseal = {.pcr_mask = PTPM_BOOT_PCRS, .sealed = sealed};
        struct ptpm_unsealed unsealed;
        const struct ptpm_answer answer = {ptpm_unsealed_code, &unsealed, sizeof(unsealed)};

        if (ptpm_call(ptpm, ptpm_unseal_code, &unseal, &answer, err) != 0) {
                (void)err_wrap(err, "unseal the storage key");
                return err_hint(err, "the host booted something else than when the key was sealed, "
                                     "or this is another TPM");
        }
        if (secret_new_copy(unsealed.secret.data, unsealed.secret.len, &key, err) != 0 ||
            store_unlock(store, key, err) != 0)
                return err->code;
        *ret_key = TAKE(key);
        return 0;
}

bool host_keys_exist(struct store *store)
{
        uint8_t AUTO_FREE *sealed = NULL;
        struct err err = {0};
        size_t len;

        /* What cannot be read is there. */
        return store_get_record(store, RECORD_STORAGE_KEY, &sealed, &len, &err) != ERR_NOT_FOUND;
}

/* The key that the TCB before us unsealed. */
static int take_over_key(struct store *store, const struct secret *kept, struct secret **ret_key,
                         struct err *err)
{
        struct secret AUTO_SECRET *key = NULL;
        int rc = secret_new_copy(kept->data, kept->len, &key, err);

        if (rc == 0)
                rc = store_unlock(store, key, err);
        if (rc == 0)
                *ret_key = TAKE(key);
        return rc;
}

static int unseal_or_make_key(struct store *store, struct ptpm *ptpm, struct secret **ret_key,
                              struct err *err)
{
        uint8_t AUTO_FREE *sealed = NULL;
        size_t len;
        int rc = store_get_record(store, RECORD_STORAGE_KEY, &sealed, &len, err);

        /* A store whose key was taken out does not open with a new one: ERR_ROLLBACK. */
        if (rc == ERR_NOT_FOUND)
                return seal_new_key(store, ptpm, ret_key, err);
        if (rc != 0)
                return rc;
        return unseal_key(store, ptpm, (struct bytes){sealed, len}, ret_key, err);
}

static int load_storage_key(struct store *store, struct ptpm *ptpm, struct keeper *keeper,
                            struct secret **ret_key, struct err *err)
{
        const struct secret *kept = keeper_key(keeper);
        int rc;

        if (kept != NULL)
                return take_over_key(store, kept, ret_key, err);
        rc = unseal_or_make_key(store, ptpm, ret_key, err);
        if (rc == 0)
                keeper_put_key(keeper, *ret_key);
        return rc;
}

/*
 * Sessions are salted with the TPM's EK so that nobody on the bus reads along. Whoever sits there
 * could offer an EK of their own: so it has to be the one of the first start. Before any secret.
 */
static int check_ek(struct store *store, const struct ptpm *ptpm, bool *ret_is_known,
                    struct err *err)
{
        uint8_t AUTO_FREE *known = NULL;
        size_t len;
        int rc = store_get_record(store, RECORD_PTPM_EK, &known, &len, err);

        *ret_is_known = rc == 0;
        if (rc == ERR_NOT_FOUND)
                return 0;
        if (rc != 0 || bytes_equal(ptpm_ek_public(ptpm), (struct bytes){known, len}))
                return rc;
        (void)err_set(err, ERR_NOT_TRUSTED, "the host's TPM has another EK than it had");
        return err_hint(err, "this is another TPM, it was cleared, or something stands in between");
}

/* AK and CEK ------------------------------------------------------------------------------- */

static void put_record(const struct key_record *keys, struct writer *w)
{
        writer_put_be16(w, KEYS_FORMAT);
        writer_put_tpm2b(w, keys->ak_pub);
        writer_put_tpm2b(w, keys->ak_priv);
        writer_put_tpm2b(w, keys->cek_pub);
        writer_put_tpm2b(w, keys->cek_priv);
        writer_put_tpm2b(w, keys->cek_attest);
        writer_put_tpm2b(w, keys->cek_signature);
}

static int get_record(struct bytes data, struct key_record *ret, struct err *err)
{
        struct reader r = reader_from_bytes(data);
        struct key_record keys;
        uint16_t format;

        if (reader_get_be16(&r, &format) != 0 || format != KEYS_FORMAT ||
            reader_get_tpm2b(&r, 1024, &keys.ak_pub) != 0 ||
            reader_get_tpm2b(&r, 1024, &keys.ak_priv) != 0 ||
            reader_get_tpm2b(&r, 1024, &keys.cek_pub) != 0 ||
            reader_get_tpm2b(&r, 1024, &keys.cek_priv) != 0 ||
            reader_get_tpm2b(&r, 1024, &keys.cek_attest) != 0 ||
            reader_get_tpm2b(&r, 1024, &keys.cek_signature) != 0 || reader_finish(&r) != 0)
                return err_set(err, ERR_DAMAGED, "record " RECORD_PTPM_KEYS ": at offset %zu",
                               reader_offset(&r));
        *ret = keys;
        return 0;
}

static int make_keys(struct store *store, struct ptpm *ptpm, const struct secret *auth,
                     struct err *err)
{
        struct ptpm_keys made;
        const struct ptpm_answer answer = {ptpm_keys_code, &made, sizeof(made)};
        struct ptpm_make_keys make;
        struct writer AUTO_WRITER w = {0};
        int rc;

        memcpy(make.auth, auth->data, sizeof(make.auth));
        rc = ptpm_call(ptpm, ptpm_make_keys_code, &make, &answer, err);
        explicit_bzero(&make, sizeof(make));
        if (rc != 0)
                return err_wrap(err, "make the AK and the CEK");
        writer_init(&w, KEYS_MAX);
        put_record(&(struct key_record){made.ak_pub, made.ak_priv, made.cek_pub, made.cek_priv,
                                        made.cek_attest, made.cek_signature},
                   &w);
        return commit(store, RECORD_PTPM_KEYS, writer_bytes(&w), err);
}

static int load_keys(struct ptpm *ptpm, const struct key_record *keys, const struct secret *auth,
                     struct err *err)
{
        struct ptpm_done done;
        const struct ptpm_answer answer = {ptpm_done_code, &done, sizeof(done)};
        struct ptpm_load_keys load = {.ak_pub = keys->ak_pub,
                                      .ak_priv = keys->ak_priv,
                                      .cek_pub = keys->cek_pub,
                                      .cek_priv = keys->cek_priv};
        int rc;

        memcpy(load.auth, auth->data, sizeof(load.auth));
        rc = ptpm_call(ptpm, ptpm_load_keys_code, &load, &answer, err);
        explicit_bzero(&load, sizeof(load));
        return rc == 0 ? 0 : err_wrap(err, "load the AK and the CEK");
}

static int name_of(struct bytes public_area, struct tpm_name *ret_name, struct err *err)
{
        struct tpm_public public;

        if (tpm_public_parse(public_area, &public, err) != 0)
                return err->code;
        return tpm_name_of_public(&public, ret_name, err);
}

static int fill(struct host_keys *ret, const struct key_record *keys, struct err *err)
{
        struct host_keys filled = {.ak_pub = keys->ak_pub,
                                   .cek_pub = keys->cek_pub,
                                   .cek_attest = keys->cek_attest,
                                   .cek_signature = keys->cek_signature};

        if (name_of(keys->ak_pub, &filled.ak_name, err) != 0 ||
            name_of(keys->cek_pub, &filled.cek_name, err) != 0)
                return err->code;
        *ret = filled;
        return 0;
}

int host_keys_load(struct store *store, struct ptpm *ptpm, struct keeper *keeper,
                   struct host_keys *ret_keys, struct err *err)
{
        struct secret AUTO_SECRET *storage = NULL;
        struct secret AUTO_SECRET *auth = NULL;
        uint8_t AUTO_FREE *data = NULL;
        struct key_record keys;
        size_t len;
        bool ek_is_known;
        int rc;

        if (check_ek(store, ptpm, &ek_is_known, err) != 0 ||
            load_storage_key(store, ptpm, keeper, &storage, err) != 0 ||
            (!ek_is_known && commit(store, RECORD_PTPM_EK, ptpm_ek_public(ptpm), err) != 0) ||
            kdf_derive(
                &(struct kdf_request){.key = storage, .label = "ptpm key authorisation", .len = 32},
                &auth, err) != 0)
                return err->code;
        rc = store_get_record(store, RECORD_PTPM_KEYS, &data, &len, err);
        if (rc == ERR_NOT_FOUND) {
                rc = make_keys(store, ptpm, auth, err);
                if (rc == 0)
                        rc = store_get_record(store, RECORD_PTPM_KEYS, &data, &len, err);
        }
        if (rc != 0 || get_record((struct bytes){data, len}, &keys, err) != 0 ||
            load_keys(ptpm, &keys, auth, err) != 0 || fill(ret_keys, &keys, err) != 0)
                return err->code;
        ret_keys->memory = TAKE(data);
        return 0;
}

void host_keys_done(struct host_keys *keys)
{
        free(keys->memory);
        keys->memory = NULL;
}
