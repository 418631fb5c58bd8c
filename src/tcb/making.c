#include "tcb/making.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/fd.h"
#include "base/hex.h"
#include "base/log.h"
#include "tcb/instance-index.h"
#include "tcb/known-answer.h"
#include "tcb/manufacture.h"
#include "tcb/pool.h"
#include "tpmwire/public.h"

#define LATER_NICE 19 /* nobody waits for these */
#define SAVES_MAX  64 /* of one making; each key takes two or three */

struct making {
        struct manufacture manufacture;
        uint8_t later;
        int control;   /* keeps the engine's control channel open */
        uint8_t *blob; /* as the engine saved it last */
        size_t blob_len;
        unsigned n_saves;
        char profile[BLOCK_PROFILE_MAX + 1];
        /* Of making_complete(). */
        void (*done)(void *user, const struct err *failure);
        void *user;
};

static void drop_blob(struct making *making)
{
        if (making->blob != NULL)
                explicit_bzero(making->blob, making->blob_len);
        free(TAKE(making->blob));
        making->blob_len = 0;
}

void making_free(struct making *making)
{
        if (making == NULL)
                return;
        drop_blob(making);
        fd_close(&making->control);
        free(making);
}

/* ---- records -------------------------------------------------------------------------------- */

/* "ek-UUID" for the P-256 key, which every vTPM has, "ek-UUID-p384" for others. */
static void record_name(const struct instance *instance, const char *suffix,
                        char ret_name[STORE_NAME_MAX + 1])
{
        char hex[2 * BLOCK_UUID_LEN + 1];

        (void)snprintf(ret_name, STORE_NAME_MAX + 1, "ek-%s%s%s",
                       hex_encode(instance->stored.block.uuid, BLOCK_UUID_LEN, hex),
                       suffix[0] != '\0' ? "-" : "", suffix);
}

static const char *suffix_of(enum tpm_ek_kind kind)
{
        return kind == TPM_EK_P256 ? "" : tpm_ek(kind)->name;
}

#define LATER_SUFFIX "later"
#define CERTS_SUFFIX "certs" /* kind, length, bytes of each that was in the TPM's NV */

int making_get_ek(struct instance *instance, enum tpm_ek_kind kind, uint8_t **ret_public,
                  size_t *ret_len, struct err *err)
{
        char name[STORE_NAME_MAX + 1];

        record_name(instance, suffix_of(kind), name);
        return store_get_record(instance->host->store, name, ret_public, ret_len, err);
}

static int get_cert(struct reader *r, enum tpm_ek_kind *ret_kind, struct bytes *ret_cert,
                    struct err *err)
{
        uint8_t kind;

        if (reader_get_u8(r, &kind) != 0 || kind >= TPM_EK_COUNT ||
            reader_get_tpm2b(r, MANUFACTURE_CERT_MAX, ret_cert) != 0)
                return err_set(err, ERR_DAMAGED, "certificates of endorsement keys");
        *ret_kind = kind;
        return 0;
}

int making_get_certs(struct instance *instance, struct making_certs *ret_certs, struct err *err)
{
        struct making_certs certs = {.memory = NULL};
        char name[STORE_NAME_MAX + 1];
        enum tpm_ek_kind kind = TPM_EK_P256;
        struct reader r;
        size_t len = 0;
        int rc;

        record_name(instance, CERTS_SUFFIX, name);
        rc = store_get_record(instance->host->store, name, &certs.memory, &len, err);
        r = reader_from(certs.memory, len);
        while (rc == 0 && reader_left(&r) > 0) {
                struct bytes cert;

                rc = get_cert(&r, &kind, &cert, err);
                if (rc == 0)
                        certs.der[kind] = cert;
        }
        if (rc != 0)
                free(certs.memory);
        if (rc == 0 || rc == ERR_NOT_FOUND)
                *ret_certs = rc == 0 ? certs : (struct making_certs){.memory = NULL};
        return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int load_certs(struct instance *instance, struct err *err)
{
        struct making_certs certs;
        int rc = making_get_certs(instance, &certs, err);

        if (rc != 0)
                return rc;
        for (unsigned kind = 0; kind < TPM_EK_COUNT; kind++)
                instance->certified |= (uint8_t)((certs.der[kind].len > 0) << kind);
        free(certs.memory);
        return 0;
}

int making_load(struct instance *instance, struct err *err)
{
        char name[STORE_NAME_MAX + 1];
        uint8_t AUTO_FREE *data = NULL;
        size_t len = 0;
        int rc;

        record_name(instance, LATER_SUFFIX, name);
        rc = store_get_record(instance->host->store, name, &data, &len, err);
        if (rc != 0 && rc != ERR_NOT_FOUND)
                return rc;
        if (rc == 0 && len != 1)
                return err_set(err, ERR_DAMAGED, "record %s of %zu bytes", name, len);
        instance->later = rc == 0 ? data[0] : 0;
        return load_certs(instance, err);
}

static int forget_record(struct instance *instance, const char *suffix, struct err *err)
{
        char name[STORE_NAME_MAX + 1];
        uint8_t AUTO_FREE *data = NULL;
        size_t len = 0;
        int rc;

        record_name(instance, suffix, name);
        rc = store_get_record(instance->host->store, name, &data, &len, err);
        if (rc == ERR_NOT_FOUND)
                return 0;
        return rc != 0 ? rc : store_delete_record(instance->host->store, name, err);
}

int making_forget_records(struct instance *instance, struct err *err)
{
        int rc = forget_record(instance, LATER_SUFFIX, err);

        if (rc == 0)
                rc = forget_record(instance, CERTS_SUFFIX, err);

        for (unsigned kind = 0; rc == 0 && kind < TPM_EK_COUNT; kind++)
                rc = forget_record(instance, suffix_of((enum tpm_ek_kind)kind), err);
        return rc;
}

static int put_later(struct instance *instance, uint8_t later, struct err *err)
{
        char name[STORE_NAME_MAX + 1];

        if (later == 0)
                return 0;
        record_name(instance, LATER_SUFFIX, name);
        return store_put_record(instance->host->store, name, (struct bytes){&later, 1}, err);
}

static int put_certs(struct instance *instance, struct err *err)
{
        uint8_t memory[TPM_EK_COUNT * (MANUFACTURE_CERT_MAX + 3)];
        char name[STORE_NAME_MAX + 1];
        struct writer w;

        writer_init_fixed(&w, memory, sizeof(memory));
        for (unsigned kind = 0; kind < TPM_EK_COUNT; kind++) {
                const struct manufacture_cert *cert = &instance->making->manufacture.certs[kind];

                if (cert->len == 0)
                        continue;
                writer_put_u8(&w, (uint8_t)kind);
                writer_put_tpm2b(&w, (struct bytes){cert->data, cert->len});
                instance->certified |= (uint8_t)(1U << kind);
        }
        if (w.len == 0)
                return 0;
        record_name(instance, CERTS_SUFFIX, name);
        return store_put_record(instance->host->store, name, writer_bytes(&w), err);
}

/* ---- what was made goes into the store ------------------------------------------------------ */

/* The names in the block stand in the order in which the keys were made. */
static int put_keys(struct instance *instance, struct security_block *block, struct err *err)
{
        const struct making *making = instance->making;

        for (unsigned kind = 0; kind < TPM_EK_COUNT; kind++) {
                const struct manufacture_ek *ek = &making->manufacture.eks[kind];
                char name[STORE_NAME_MAX + 1];

                if (ek->public_len == 0)
                        continue;
                if (block->n_ek == BLOCK_EK_MAX)
                        return err_set(err, ERR_LIMIT, "more than %d EKs", BLOCK_EK_MAX);
                memcpy(block->ek[block->n_ek].data, ek->name.data, ek->name.len);
                block->ek[block->n_ek++].len = ek->name.len;
                record_name(instance, suffix_of((enum tpm_ek_kind)kind), name);
                if (store_put_record(instance->host->store, name,
                                     (struct bytes){ek->public, ek->public_len}, err) != 0)
                        return err->code;
        }
        return 0;
}

static int put_all(struct instance *instance, struct security_block *block, struct err *err)
{
        struct making *making = instance->making;
        struct store *store = instance->host->store;
        struct store_put put = {.kind = STORE_KIND_PERMANENT,
                                .plain = {making->blob, making->blob_len}};

        memcpy(put.uuid, block->uuid, sizeof(put.uuid));
        if (store_put_blob(store, &put, err) != 0 || put_keys(instance, block, err) != 0 ||
            store_update_instance(store, STORE_STATE_INITIALISED, block, err) != 0 ||
            store_get_instance(store, block->uuid, &instance->stored, err) != 0)
                return err->code;
        drop_blob(making);
        return 0;
}

static void on_created(void *user, uint64_t value)
{
        struct instance *instance = user;

        (void)value;
        instance_end_making(instance, INSTANCE_IDLE);
        instance->ops->started(instance->user, NULL);
}

/* A state that was imported can be brought again under another name: one TPM would be two. */
static int check_alone(const struct instance *instance, const struct manufacture_ek *ek,
                       struct err *err)
{
        const struct instance_index *all = instance->host->all;

        if (!instance->making->manufacture.only_read || all == NULL)
                return 0;
        for (const struct instance *i = all->first; i != NULL; i = i->next)
                if (i != instance && i->ek_pub_len == ek->public_len &&
                    memcmp(i->ek_pub, ek->public, ek->public_len) == 0)
                        return err_set(err, ERR_CONFLICT, "vTPM %s is this TPM already",
                                       i->stored.name);
        return 0;
}

static int adopt_new(struct instance *instance, struct err *err)
{
        struct making *making = instance->making;
        const struct manufacture_ek *ek = &making->manufacture.eks[TPM_EK_P256];
        struct security_block block = instance->stored.block;
        char name[STORE_NAME_MAX + 1];

        if (check_alone(instance, ek, err) != 0)
                return err->code;
        memcpy(name, instance->stored.name, sizeof(name));
        memcpy(block.profile, making->profile, sizeof(block.profile));
        memcpy(instance->ek_pub, ek->public, ek->public_len);
        instance->ek_pub_len = ek->public_len;
        instance->later = making->later;
        if (commit_begin(instance->host->commit, err) != 0 ||
            store_create_instance(instance->host->store, name, &block, err) != 0)
                return err->code;
        instance->created = true;
        /* The store has set the digest of the configuration. */
        if (store_get_instance(instance->host->store, block.uuid, &instance->stored, err) != 0)
                return err->code;
        block = instance->stored.block;
        if (put_all(instance, &block, err) != 0 || put_certs(instance, err) != 0 ||
            put_later(instance, instance->later, err) != 0)
                return err->code;
        return commit_then(instance->host->commit, on_created, instance, 0, err);
}

static void on_completed(void *user, uint64_t value)
{
        struct instance *instance = user;
        struct making *making = instance->making;
        void (*done)(void *user, const struct err *failure) = making->done;
        void *done_user = making->user;

        (void)value;
        instance_end_making(instance, INSTANCE_IDLE);
        done(done_user, NULL);
}

static int adopt_more(struct instance *instance, struct err *err)
{
        struct security_block block = instance->stored.block;

        if (commit_begin(instance->host->commit, err) != 0 || put_all(instance, &block, err) != 0 ||
            forget_record(instance, LATER_SUFFIX, err) != 0)
                return err->code;
        instance->later = 0;
        return commit_then(instance->host->commit, on_completed, instance, 0, err);
}

/* ---- the engine's words --------------------------------------------------------------------- */

/* Kept here until all is there: nobody has been promised anything yet. */
int making_persist(struct instance *instance, const struct engine_persist *persist, struct err *err)
{
        struct making *making = instance->making;
        uint8_t *copy;

        if (++making->n_saves > SAVES_MAX)
                return err_set(err, ERR_MALFORMED, "engine: saves without end");
        if (persist->kind != ENGINE_BLOB_PERMANENT)
                return 0;
        copy = malloc(persist->blob.len);
        if (copy == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        memcpy(copy, persist->blob.data, persist->blob.len);
        drop_blob(making);
        making->blob = copy;
        making->blob_len = persist->blob.len;
        return 0;
}

/* The name is free again, and the next start finds nothing half made. */
static void forget_stored(struct instance *instance)
{
        struct instance_host *host = instance->host;
        struct err err = {0};

        if (!instance->created)
                return;
        if (commit_begin(host->commit, &err) != 0 || making_forget_records(instance, &err) != 0 ||
            store_delete_instance(host->store, instance->stored.block.uuid, &err) != 0 ||
            commit_then(host->commit, NULL, NULL, 0, &err) != 0)
                log_error((&(struct log_fields){.vm = instance->stored.name, .err = &err}),
                          "a vTPM that was not manufactured is not forgotten");
}

void making_fail(struct instance *instance, const struct err *failure)
{
        struct making *making = instance->making;
        void (*done)(void *user, const struct err *failure) = making->done;
        void *user = making->user;

        if (instance->sm.state == INSTANCE_MANUFACTURING) {
                instance_end_making(instance, INSTANCE_GONE);
                forget_stored(instance);
                instance->ops->started(instance->user, failure);
                return;
        }
        instance_end_making(instance, INSTANCE_IDLE);
        done(user, failure);
}

static void hear_nothing(void *user)
{
        (void)user;
}

static int save_nothing(void *user, const struct engine_persist *persist, struct err *err)
{
        (void)user;
        (void)persist;
        (void)err;
        return 0;
}

static void see_nothing(void *user, enum engine_event_kind kind, uint32_t init_count)
{
        (void)user;
        (void)kind;
        (void)init_count;
}

static void mourn_nobody(void *user, const struct err *err)
{
        (void)user;
        (void)err;
}

static const struct engine_host_ops deaf_ops = {
    .ready = hear_nothing, .persist = save_nothing, .event = see_nothing, .died = mourn_nobody};

static void on_done(void *user, const struct err *failure)
{
        struct instance *instance = user;
        struct making *making = instance->making;
        struct err err = {0};
        int rc;

        if (failure == NULL) {
                profile_describe(engine_host_libtpms(instance->engine),
                                 making->manufacture.algorithms, making->profile);
                /* What it could still do wrong concerns nobody any more; it is reaped later. */
                engine_host_hand_over(instance->engine, &deaf_ops, NULL);
                (void)kill(engine_host_pid(instance->engine), SIGKILL);
                if (making->blob == NULL)
                        rc = err_set(&err, ERR_FAILED, "the engine saved no state");
                else if (instance->sm.state == INSTANCE_MANUFACTURING)
                        rc = adopt_new(instance, &err);
                else
                        rc = adopt_more(instance, &err);
                if (rc == 0)
                        return;
                failure = &err;
        }
        making_fail(instance, failure);
}

/* ---- beginning ------------------------------------------------------------------------------ */

static int new_making(struct instance *instance, uint8_t wanted, int *ret_control, struct err *err)
{
        struct making *making = calloc(1, sizeof(*making));
        int control[2];
        int rc;

        if (making == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        rc = fd_socketpair(SOCK_STREAM, control, err);
        if (rc != 0) {
                free(making);
                return rc;
        }
        making->control = control[0];
        making->manufacture.wanted = wanted;
        making->manufacture.done = on_done;
        making->manufacture.user = instance;
        instance->making = making;
        *ret_control = control[1];
        return 0;
}

static int draw_seed(struct instance_host *host, const struct instance_request *request,
                     struct secret **ret_seed, struct err *err)
{
        int rc;

        /* Nobody will derive this one again. */
        if (request->base_seed == NULL)
                return secret_new_random(ENGINE_SEED_SIZE, ret_seed, err);
        rc = known_answer_check(host->known_answer, err);
        return rc != 0 ? rc : profile_seed(request->base_seed, request->uuid, ret_seed, err);
}

static int start(struct instance *instance, struct engine_host_request *request, struct err *err)
{
        int rc;

        request->flags = ENGINE_START_DRAFT;
        rc = engine_host_start(request, &instance->engine, err);
        if (rc != 0)
                return rc;
        instance->making->manufacture.engine = instance->engine;
        return manufacture_start(&instance->making->manufacture, err);
}

static int begin(struct instance *instance, const struct instance_request *request, struct err *err)
{
        struct secret AUTO_SECRET *seed = NULL;
        struct engine_host_request engine;
        unsigned nice = 0;
        int control = -1;
        int rc = draw_seed(instance->host, request, &seed, err);

        if (rc == 0)
                rc = new_making(instance, request->eks | (1U << TPM_EK_P256), &control, err);
        if (rc != 0)
                return rc;
        instance->making->later = request->later & (uint8_t)~instance->making->manufacture.wanted;
        if (request->for_pool)
                nice = LATER_NICE;
        engine = instance_engine_request(instance, control);
        engine.permanent = request->permanent;
        if (request->permanent.len == 0)
                engine.seed = (struct bytes){seed->data, seed->len};
        else
                instance->making->manufacture.only_read = true;
        engine.nice = nice;
        rc = start(instance, &engine, err);
        fd_close(&control);
        return rc;
}

/* ---- from the pool --------------------------------------------------------------------------- */

static int take_ek(struct instance *item, enum tpm_ek_kind kind, struct manufacture_ek *ek,
                   struct err *err)
{
        uint8_t AUTO_FREE *data = NULL;
        struct tpm_public public;
        size_t len = 0;
        int rc = making_get_ek(item, kind, &data, &len, err);

        if (rc == 0 && len > sizeof(ek->public))
                rc = err_set(err, ERR_DAMAGED, "EK of %zu bytes", len);
        if (rc == 0)
                rc = tpm_public_parse((struct bytes){data, len}, &public, err);
        if (rc == 0)
                rc = tpm_name_of_public(&public, &ek->name, err);
        if (rc != 0)
                return rc;
        memcpy(ek->public, data, len);
        ek->public_len = len;
        return 0;
}

/* The item's state as if it had just been made; the item is marked in the same commit. */
static int take_over(struct instance *instance, struct instance *item, struct err *err)
{
        struct making *making = instance->making;
        const struct security_block *block = &item->stored.block;
        struct store_blob blob;
        int rc = 0;

        for (unsigned kind = 0; rc == 0 && kind < TPM_EK_COUNT; kind++)
                rc = take_ek(item, (enum tpm_ek_kind)kind, &making->manufacture.eks[kind], err);
        if (rc == 0)
                rc = store_get_blob(item->host->store, block->uuid, STORE_KIND_PERMANENT, &blob,
                                    err);
        if (rc != 0)
                return rc;
        making->blob = blob.data;
        making->blob_len = blob.len;
        memcpy(making->profile, block->profile, sizeof(making->profile));
        memcpy(instance->stored.block.engine_digest, block->engine_digest,
               sizeof(block->engine_digest));
        memcpy(instance->stored.block.engine, block->engine, sizeof(block->engine));
        if (commit_begin(item->host->commit, err) != 0 || pool_mark_taken(item, err) != 0)
                return err->code;
        return adopt_new(instance, err);
}

static int begin_from_pool(struct instance *instance, struct err *err)
{
        struct instance *item = pool_take(instance->host);
        int control = -1;
        int rc = new_making(instance, 0, &control, err);

        fd_close(&control);
        if (rc == 0)
                rc = take_over(instance, item, err);
        pool_put(instance->host, item);
        return rc;
}

static int check_free(struct instance_host *host, const struct instance_request *request,
                      struct err *err)
{
        struct store_instance stored;
        struct err ignored = {0};

        if (store_find_instance(host->store, request->name, &stored, &ignored) == 0)
                return err_set(err, ERR_CONFLICT, "a vTPM %s exists", request->name);
        if (store_get_instance(host->store, request->uuid, &stored, &ignored) == 0)
                return err_set(err, ERR_CONFLICT, "vTPM %s has this UUID", stored.name);
        return 0;
}

int instance_create(struct instance_host *host, const struct instance_request *request,
                    const struct instance_user *ops, void *user, struct instance **ret_instance,
                    struct err *err)
{
        struct instance *instance;
        struct security_block *block;
        int rc = check_free(host, request, err);

        if (rc != 0)
                return rc;
        instance = instance_new(host, INSTANCE_MANUFACTURING);
        if (instance == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        instance->ops = ops;
        instance->user = user;
        (void)snprintf(instance->stored.name, sizeof(instance->stored.name), "%s", request->name);
        block = &instance->stored.block;
        block->epoch = 1;
        block->created = (uint64_t)time(NULL);
        memcpy(block->uuid, request->uuid, sizeof(block->uuid));
        memcpy(block->engine_digest, host->measurements->engine, sizeof(block->engine_digest));
        (void)snprintf(block->engine, sizeof(block->engine), "catena-vtpm " CATENA_VERSION);
        rc = pool_fits(host, request) ? begin_from_pool(instance, err)
                                      : begin(instance, request, err);
        if (rc != 0) {
                forget_stored(instance);
                instance_free(instance);
                return rc;
        }
        *ret_instance = instance;
        return 0;
}

/* A TPM that is to go on where it was must not be powered on in between. */
static int check_at_rest(struct instance *instance, struct err *err)
{
        struct store_blob blob;
        struct err ignored = {0};
        bool resting;

        if (store_get_blob(instance->host->store, instance->stored.block.uuid, STORE_KIND_VOLATILE,
                           &blob, &ignored) != 0)
                return 0;
        resting = blob.len > 0;
        store_blob_free(&blob);
        return resting ? err_set(err, ERR_CONFLICT, "vTPM %s rests with its memory",
                                 instance->stored.name)
                       : 0;
}

int making_complete(struct instance *instance, void (*done)(void *user, const struct err *failure),
                    void *user, struct err *err)
{
        struct engine_host_request engine;
        struct store_blob permanent;
        int control = -1;
        int rc = check_at_rest(instance, err);

        if (rc == 0)
                rc = store_get_blob(instance->host->store, instance->stored.block.uuid,
                                    STORE_KIND_PERMANENT, &permanent, err);
        if (rc != 0)
                return rc;
        rc = new_making(instance, instance->later, &control, err);
        if (rc == 0) {
                instance->making->done = done;
                instance->making->user = user;
                engine = instance_engine_request(instance, control);
                engine.permanent = (struct bytes){permanent.data, permanent.len};
                engine.nice = LATER_NICE;
                rc = start(instance, &engine, err);
                fd_close(&control);
        }
        store_blob_free(&permanent);
        if (rc == 0) {
                sm_move(&instance->sm, INSTANCE_COMPLETING);
                return 0;
        }
        engine_host_free(TAKE(instance->engine));
        making_free(TAKE(instance->making));
        return rc;
}
