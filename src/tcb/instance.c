#include "tcb/instance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "tcb/manufacture.h"

#define ENGINE_MEMORY_MAX (UINT64_C(32) << 20) /* of one engine; 3 MiB are used */

#define UIDS 65535 /* user ids from the configured base on, the pTPM's being the first */

static const struct sm_state states[] = {
    [INSTANCE_MANUFACTURING] = {"manufacturing", SM_TO(INSTANCE_IDLE) | SM_TO(INSTANCE_GONE)},
    [INSTANCE_IDLE] = {"idle", SM_TO(INSTANCE_STARTING) | SM_TO(INSTANCE_GONE)},
    [INSTANCE_STARTING] = {"starting", SM_TO(INSTANCE_LIVE) | SM_TO(INSTANCE_IDLE)},
    [INSTANCE_LIVE] = {"live", SM_TO(INSTANCE_IDLE)},
    [INSTANCE_GONE] = {"gone", 0},
};

static struct instance *allocate(struct instance_host *host, enum instance_state state)
{
        struct instance *instance = calloc(1, sizeof(*instance));

        if (instance == NULL)
                return NULL;
        instance->host = host;
        instance->manufacture_control = -1;
        sm_init(&instance->sm, "vTPM instance", states, ARRAY_SIZE(states), state, NULL);
        return instance;
}

void instance_free(struct instance *instance)
{
        if (instance == NULL)
                return;
        engine_host_free(instance->engine);
        commit_forget(instance->host->commit, instance);
        fd_close(&instance->manufacture_control);
        free(instance);
}

/* The EK's public area is kept beside the instance, under its uuid. */
static void ek_record_name(const uint8_t uuid[16], char ret_name[STORE_NAME_MAX + 1])
{
        (void)snprintf(ret_name, STORE_NAME_MAX + 1, "ek-");
        for (size_t i = 0; i < 16; i++)
                (void)snprintf(ret_name + 3 + 2 * i, 3, "%02x", uuid[i]);
}

static int load_ek(struct instance *instance, struct err *err)
{
        char name[STORE_NAME_MAX + 1];
        uint8_t AUTO_FREE *data = NULL;
        size_t len;

        ek_record_name(instance->stored.block.uuid, name);
        if (store_get_record(instance->host->store, name, &data, &len, err) != 0)
                return err_wrap(err, "EK of %s", instance->stored.name);
        if (len > sizeof(instance->ek_pub))
                return err_set(err, ERR_DAMAGED, "EK of %s: %zu bytes", instance->stored.name, len);
        memcpy(instance->ek_pub, data, len);
        instance->ek_pub_len = len;
        return 0;
}

/* One that was never manufactured (a crash in between) holds nothing: it is forgotten. */
static int load_one(struct instance_host *host, const struct store_instance *stored,
                    struct instance **list, struct err *err)
{
        struct instance *instance;

        if (stored->state == STORE_STATE_CREATED) {
                log_warning((&(struct log_fields){.vm = stored->name}),
                            "its manufacture was cut short; forgotten");
                if (store_begin(host->store, err) != 0)
                        return err->code;
                if (store_delete_instance(host->store, stored->block.uuid, err) == 0 &&
                    store_commit(host->store, err) == 0)
                        return 0;
                store_rollback(host->store);
                return err->code;
        }
        instance = allocate(host, INSTANCE_IDLE);
        if (instance == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        instance->stored = *stored;
        instance->next = *list;
        *list = instance;
        return load_ek(instance, err);
}

int instances_load(struct instance_host *host, struct instance **ret_list, struct err *err)
{
        struct store_instance stored = {.name = ""};
        struct instance *list = NULL;
        int rc;

        for (;;) {
                char after[STORE_NAME_MAX + 1];

                memcpy(after, stored.name, sizeof(after));
                rc = store_next_instance(host->store, after, &stored, err);
                if (rc == ERR_NOT_FOUND)
                        break;
                if (rc == 0)
                        rc = load_one(host, &stored, &list, err);
                if (rc != 0) {
                        while (list != NULL) {
                                struct instance *next = list->next;

                                instance_free(list);
                                list = next;
                        }
                        return rc;
                }
        }
        *ret_list = list;
        return 0;
}

static void note_use(struct instance *instance)
{
        instance->last_use = (uint64_t)time(NULL);
}

/* The engine's wishes ------------------------------------------------------------------------ */

static void on_stored(void *user, uint64_t sequence)
{
        struct instance *instance = user;
        struct err err = {0};

        if (instance->engine != NULL &&
            engine_host_persisted(instance->engine, sequence, &err) != 0)
                log_error((&(struct log_fields){.vm = instance->stored.name, .err = &err}),
                          "engine was not told that its state is durable");
}

/* The wire's kinds are not the store's, even where the numbers agree. */
static const enum store_kind kinds[] = {
    [ENGINE_BLOB_PERMANENT] = STORE_KIND_PERMANENT,
    [ENGINE_BLOB_VOLATILE] = STORE_KIND_VOLATILE,
    [ENGINE_BLOB_SAVESTATE] = STORE_KIND_SAVESTATE,
};

/* An empty volatile state takes the place of the one before: that is its deletion. */
static int on_persist(void *user, const struct engine_persist *persist, struct err *err)
{
        struct instance *instance = user;
        struct store_put put = {.kind = kinds[persist->kind], .plain = persist->blob};

        memcpy(put.uuid, instance->stored.block.uuid, sizeof(put.uuid));
        if (commit_begin(instance->host->commit, err) != 0 ||
            store_put_blob(instance->host->store, &put, err) != 0)
                return err->code;
        instance->stored.sequence++;
        note_use(instance);
        return commit_then(instance->host->commit, on_stored, instance, persist->sequence, err);
}

static void end_engine(struct instance *instance)
{
        note_use(instance);
        commit_forget(instance->host->commit, instance);
        engine_host_free(TAKE(instance->engine));
        if (instance->sm.state != INSTANCE_IDLE && instance->sm.state != INSTANCE_GONE)
                sm_move(&instance->sm, instance->sm.state == INSTANCE_MANUFACTURING
                                           ? INSTANCE_GONE
                                           : INSTANCE_IDLE);
}

static void on_ready(void *user)
{
        struct instance *instance = user;

        (void)snprintf(instance->host->degraded, sizeof(instance->host->degraded), "%s",
                       engine_host_degraded(instance->engine));
        if (instance->sm.state == INSTANCE_MANUFACTURING) {
                manufacture_step(instance);
                return;
        }
        sm_move(&instance->sm, INSTANCE_LIVE);
        note_use(instance);
        instance->ops->started(instance->user, NULL);
}

static void on_event(void *user, enum engine_event_kind kind, uint32_t init_count)
{
        struct instance *instance = user;

        instance->init_count = init_count;
        if (instance->sm.state == INSTANCE_LIVE && instance->ops->event != NULL)
                instance->ops->event(instance->user, kind, init_count);
}

static void on_died(void *user, const struct err *err)
{
        struct instance *instance = user;
        bool was_live = instance->sm.state == INSTANCE_LIVE;

        if (instance->sm.state == INSTANCE_MANUFACTURING) {
                instance_abandon(instance, err);
                return;
        }
        end_engine(instance);
        if (was_live)
                instance->ops->died(instance->user, err);
        else
                instance->ops->started(instance->user, err);
}

static int on_ask(void *user, const struct engine_question *question, struct err *err)
{
        struct instance *instance = user;

        if (instance->ops->ask == NULL)
                return err_set(err, ERR_MALFORMED, "engine: asks what it must not");
        return instance->ops->ask(instance->user, question, err);
}

static const struct engine_host_ops engine_ops = {on_ready, on_persist, on_event, on_died, on_ask};

static uint32_t next_uid(struct instance_host *host)
{
        host->next_uid = (host->next_uid + 1) % UIDS;
        return (uint32_t)host->config->uid_base + 1 + host->next_uid;
}

/* What every engine of this instance has in common; ops and user are the caller's. */
static struct engine_host_request engine_request(struct instance *instance, uint32_t flags,
                                                 int control)
{
        struct instance_host *host = instance->host;

        return (struct engine_host_request){.event = host->event,
                                            .zygote = host->zygote,
                                            .path = host->engine_path,
                                            .uid = next_uid(host),
                                            .memory_max = ENGINE_MEMORY_MAX,
                                            .uuid = instance->stored.block.uuid,
                                            .flags = flags,
                                            .control = control};
}

static int start_engine(struct instance *instance, struct bytes permanent, uint32_t flags,
                        int control, struct err *err)
{
        struct engine_host_request request = engine_request(instance, flags, control);

        request.permanent = permanent;
        request.ops = &engine_ops;
        request.user = instance;
        instance->uid = request.uid;
        instance->init_count = 0;
        return engine_host_start(&request, &instance->engine, err);
}

int instance_start_second(struct instance *instance, int control, const struct engine_host_ops *ops,
                          void *user, struct engine_host **ret_engine, struct err *err)
{
        struct engine_host_request request =
            engine_request(instance, ENGINE_START_BOUND | ENGINE_START_EMPTY, control);

        request.ops = ops;
        request.user = user;
        return engine_host_start(&request, ret_engine, err);
}

void instance_adopt_engine(struct instance *instance, struct engine_host *engine,
                           const struct instance_user *ops, void *user)
{
        instance_stop(instance);
        instance->ops = ops;
        instance->user = user;
        instance->engine = engine;
        instance->init_count = engine_host_init_count(engine);
        engine_host_hand_over(engine, &engine_ops, instance);
        sm_move(&instance->sm, INSTANCE_STARTING);
        sm_move(&instance->sm, INSTANCE_LIVE);
}

/* Life ----------------------------------------------------------------------------------------- */

static int store_new(struct instance *instance, const char *name, const uint8_t uuid[16],
                     struct err *err)
{
        struct instance_host *host = instance->host;
        struct security_block block = {.epoch = 1, .created = (uint64_t)time(NULL)};

        memcpy(block.uuid, uuid, sizeof(block.uuid));
        memcpy(block.engine_digest, host->measurements->engine, sizeof(block.engine_digest));
        (void)snprintf(block.engine, sizeof(block.engine), "catena-vtpm " CATENA_VERSION);
        if (commit_begin(host->commit, err) != 0 ||
            store_create_instance(host->store, name, &block, err) != 0 ||
            store_get_instance(host->store, uuid, &instance->stored, err) != 0)
                return err->code;
        return commit_then(host->commit, NULL, NULL, 0, err);
}

/* The name is free again, and the next start finds nothing half made. */
static void forget_stored(struct instance *instance)
{
        struct instance_host *host = instance->host;
        struct err err = {0};

        if (commit_begin(host->commit, &err) != 0 ||
            store_delete_instance(host->store, instance->stored.block.uuid, &err) != 0 ||
            commit_then(host->commit, NULL, NULL, 0, &err) != 0)
                log_error((&(struct log_fields){.vm = instance->stored.name, .err = &err}),
                          "a vTPM that was not manufactured is not forgotten");
}

int instance_create(struct instance_host *host, const char *name, const uint8_t uuid[16],
                    const struct instance_user *ops, void *user, struct instance **ret_instance,
                    struct err *err)
{
        struct instance *instance = allocate(host, INSTANCE_MANUFACTURING);
        int control[2];
        int rc;

        if (instance == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        instance->ops = ops;
        instance->user = user;
        rc = fd_socketpair(SOCK_STREAM, control, err);
        if (rc == 0) {
                instance->manufacture_control = control[0];
                rc = store_new(instance, name, uuid, err);
                if (rc == 0) {
                        rc = start_engine(instance, (struct bytes){NULL, 0}, 0, control[1], err);
                        if (rc != 0)
                                forget_stored(instance);
                }
                fd_close(&control[1]);
        }
        if (rc != 0) {
                instance_free(instance);
                return rc;
        }
        *ret_instance = instance;
        return 0;
}

/* The manufacture succeeded: block, state and EK are in one commit, then the user is told. */
static void on_manufactured(void *user, uint64_t value)
{
        struct instance *instance = user;

        (void)value;
        sm_move(&instance->sm, INSTANCE_IDLE);
        engine_host_free(TAKE(instance->engine));
        fd_close(&instance->manufacture_control);
        instance->ops->started(instance->user, NULL);
}

int instance_adopt_ek(struct instance *instance, struct bytes ek_pub, const struct tpm_name *name,
                      struct err *err)
{
        struct instance_host *host = instance->host;
        struct security_block block = instance->stored.block;
        char record[STORE_NAME_MAX + 1];

        if (ek_pub.len > sizeof(instance->ek_pub))
                return err_set(err, ERR_LIMIT, "EK of %zu bytes", ek_pub.len);
        memcpy(instance->ek_pub, ek_pub.data, ek_pub.len);
        instance->ek_pub_len = ek_pub.len;
        block.n_ek = 1;
        block.ek[0].len = name->len;
        memcpy(block.ek[0].data, name->data, name->len);
        ek_record_name(block.uuid, record);
        if (commit_begin(host->commit, err) != 0 ||
            store_put_record(host->store, record, ek_pub, err) != 0 ||
            store_update_instance(host->store, STORE_STATE_INITIALISED, &block, err) != 0 ||
            store_get_instance(host->store, block.uuid, &instance->stored, err) != 0)
                return err->code;
        return commit_then(host->commit, on_manufactured, instance, 0, err);
}

void instance_abandon(struct instance *instance, const struct err *err)
{
        end_engine(instance);
        forget_stored(instance);
        instance->ops->started(instance->user, err);
}

static int start_stored(struct instance *instance, uint32_t flags, int control,
                        const struct instance_user *ops, void *user, struct err *err)
{
        struct store_blob permanent;
        int rc;

        if (!sm_can_move(&instance->sm, INSTANCE_STARTING))
                return err_set(err, ERR_CONFLICT, "vTPM %s is %s", instance->stored.name,
                               sm_name(&instance->sm));
        if (store_get_blob(instance->host->store, instance->stored.block.uuid, STORE_KIND_PERMANENT,
                           &permanent, err) != 0)
                return err_wrap(err, "load the state of vTPM %s", instance->stored.name);
        if (permanent.len == 0) {
                store_blob_free(&permanent);
                return err_set(err, ERR_DAMAGED, "the state of vTPM %s is empty",
                               instance->stored.name);
        }
        instance->ops = ops;
        instance->user = user;
        rc = start_engine(instance, (struct bytes){permanent.data, permanent.len}, flags, control,
                          err);
        store_blob_free(&permanent);
        if (rc == 0)
                sm_move(&instance->sm, INSTANCE_STARTING);
        return rc;
}

int instance_start(struct instance *instance, int control, const struct instance_user *ops,
                   void *user, struct err *err)
{
        return start_stored(instance, 0, control, ops, user, err);
}

int instance_start_bound(struct instance *instance, int control, const struct instance_user *ops,
                         void *user, struct err *err)
{
        return start_stored(instance, ENGINE_START_BOUND, control, ops, user, err);
}

void instance_stop(struct instance *instance)
{
        if (instance->engine != NULL)
                end_engine(instance);
}

int instance_delete(struct instance *instance, commit_fn *done, void *user, struct err *err)
{
        struct instance_host *host = instance->host;
        char record[STORE_NAME_MAX + 1];

        if (!sm_can_move(&instance->sm, INSTANCE_GONE) || instance->engine != NULL)
                return err_set(err, ERR_CONFLICT, "vTPM %s is %s", instance->stored.name,
                               sm_name(&instance->sm));
        ek_record_name(instance->stored.block.uuid, record);
        if (commit_begin(host->commit, err) != 0 ||
            store_delete_instance(host->store, instance->stored.block.uuid, err) != 0 ||
            store_delete_record(host->store, record, err) != 0)
                return err->code;
        sm_move(&instance->sm, INSTANCE_GONE);
        return commit_then(host->commit, done, user, 0, err);
}
