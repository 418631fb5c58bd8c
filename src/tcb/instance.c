#include "tcb/instance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "tcb/instance-index.h"
#include "tcb/making.h"
#include "tcb/parking.h"
#include "tcb/pool.h"

static const struct sm_state states[] = {
    [INSTANCE_MANUFACTURING] = {"manufacturing", SM_TO(INSTANCE_IDLE) | SM_TO(INSTANCE_GONE)},
    [INSTANCE_IDLE] = {"idle", SM_TO(INSTANCE_STARTING) | SM_TO(INSTANCE_COMPLETING) |
                                   SM_TO(INSTANCE_ADOPTING) | SM_TO(INSTANCE_PARKED) |
                                   SM_TO(INSTANCE_GONE)},
    [INSTANCE_STARTING] = {"starting", SM_TO(INSTANCE_LIVE) | SM_TO(INSTANCE_IDLE)},
    [INSTANCE_LIVE] = {"live", SM_TO(INSTANCE_IDLE) | SM_TO(INSTANCE_PARKING)},
    [INSTANCE_PARKING] = {"parking",
                          SM_TO(INSTANCE_LIVE) | SM_TO(INSTANCE_PARKED) | SM_TO(INSTANCE_IDLE)},
    [INSTANCE_PARKED] = {"parked", SM_TO(INSTANCE_WAKING) | SM_TO(INSTANCE_IDLE)},
    [INSTANCE_WAKING] = {"waking", SM_TO(INSTANCE_LIVE) | SM_TO(INSTANCE_IDLE)},
    [INSTANCE_ADOPTING] = {"adopting", SM_TO(INSTANCE_LIVE) | SM_TO(INSTANCE_IDLE)},
    [INSTANCE_COMPLETING] = {"completing", SM_TO(INSTANCE_IDLE)},
    [INSTANCE_GONE] = {"gone", 0},
};

/* Parked means that no engine runs, and only a parked one or one on its way has what waking needs.
 */
static bool engine_agrees(const struct sm *sm)
{
        const struct instance *instance =
            (const void *)((const char *)sm - offsetof(struct instance, sm));

        switch (sm->state) {
        case INSTANCE_PARKED:
                return instance->engine == NULL && instance->parked != NULL;
        case INSTANCE_PARKING:
                return instance->engine != NULL;
        case INSTANCE_LIVE:
        case INSTANCE_WAKING:
                return instance->engine != NULL && instance->parked == NULL;
        default:
                return instance->parked == NULL;
        }
}

struct instance *instance_new(struct instance_host *host, enum instance_state state)
{
        struct instance *instance = calloc(1, sizeof(*instance));

        if (instance == NULL)
                return NULL;
        instance->host = host;
        sm_init(&instance->sm, "vTPM instance", states, ARRAY_SIZE(states), state, engine_agrees);
        return instance;
}

void instance_free(struct instance *instance)
{
        if (instance == NULL)
                return;
        engine_host_free(instance->engine);
        parking_end(instance);
        commit_forget(instance->host->commit, instance);
        making_free(instance->making);
        free(instance);
}

static int load_ek(struct instance *instance, struct err *err)
{
        uint8_t AUTO_FREE *data = NULL;
        size_t len;

        if (making_get_ek(instance, TPM_EK_P256, &data, &len, err) != 0)
                return err_wrap(err, "EK of %s", instance->stored.name);
        if (len > sizeof(instance->ek_pub))
                return err_set(err, ERR_DAMAGED, "EK of %s: %zu bytes", instance->stored.name, len);
        memcpy(instance->ek_pub, data, len);
        instance->ek_pub_len = len;
        return making_load(instance, err);
}

/* One that was never manufactured (a crash in between) holds nothing: it is forgotten. */
static int load_one(struct instance_host *host, const struct store_instance *stored,
                    struct instance_index *index, struct err *err)
{
        struct instance *instance;
        int rc;

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
        instance = instance_new(host, INSTANCE_IDLE);
        if (instance == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        instance->stored = *stored;
        instance->created = true;
        if (pool_is_name(stored->name)) {
                pool_put(host, instance);
                return 0;
        }
        rc = instance_index_add(index, instance, err);
        if (rc != 0) {
                instance_free(instance);
                return rc;
        }
        return load_ek(instance, err);
}

int instances_load(struct instance_host *host, struct instance_index *index, struct err *err)
{
        struct store_instance stored = {.name = ""};
        int rc;

        for (;;) {
                char after[STORE_NAME_MAX + 1];

                memcpy(after, stored.name, sizeof(after));
                rc = store_next_instance(host->store, after, &stored, err);
                if (rc == ERR_NOT_FOUND)
                        return 0;
                if (rc == 0)
                        rc = load_one(host, &stored, index, err);
                if (rc != 0)
                        return rc;
        }
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

static void on_used_up(void *user, uint64_t value)
{
        struct instance *instance = user;
        struct err err = {0};

        (void)value;
        instance->using_up = false;
        if (instance->used_up_due != 0)
                on_stored(instance, instance->used_up_due);
        else if (instance->engine != NULL && engine_host_used_up(instance->engine, &err) != 0)
                log_error((&(struct log_fields){.vm = instance->stored.name, .err = &err}),
                          "engine was not told that its state is used up");
        instance->used_up_due = 0;
}

int instance_use_up(struct instance *instance, struct err *err)
{
        instance->using_up = true;
        instance->used_up_due = 0;
        return instance_put_volatile(instance, (struct bytes){NULL, 0}, on_used_up, instance, err);
}

/* A waking engine says what instance_use_up() has begun. */
static bool is_under_way(struct instance *instance, const struct engine_persist *persist)
{
        if (instance->sm.state != INSTANCE_WAKING || persist->kind != ENGINE_BLOB_VOLATILE ||
            persist->blob.len != 0)
                return false;
        if (instance->using_up)
                instance->used_up_due = persist->sequence;
        else
                on_stored(instance, persist->sequence);
        return true;
}

/* An empty volatile state takes the place of the one before: that is its deletion. */
static int on_persist(void *user, const struct engine_persist *persist, struct err *err)
{
        struct instance *instance = user;
        struct store_put put = {.kind = kinds[persist->kind], .plain = persist->blob};

        if (instance->making != NULL)
                return making_persist(instance, persist, err);
        if (is_under_way(instance, persist))
                return 0;
        memcpy(put.uuid, instance->stored.block.uuid, sizeof(put.uuid));
        if (commit_begin(instance->host->commit, err) != 0 ||
            store_put_blob(instance->host->store, &put, err) != 0)
                return err->code;
        instance->stored.sequence++;
        note_use(instance);
        return commit_then(instance->host->commit, on_stored, instance, persist->sequence, err);
}

static int power_on(struct instance *instance, struct err *err)
{
        size_t n = DESCRIPTORS_VTPM;

        if (instance->vm != NULL)
                n = DESCRIPTORS_VM;
        else if (instance->bound != NULL)
                n = DESCRIPTORS_BOUND;
        if (descriptors_take(&instance->host->descriptors, n, err) != 0)
                return err->code;
        instance->n_descriptors = n;
        return 0;
}

static void power_off(struct instance *instance)
{
        descriptors_give(&instance->host->descriptors, instance->n_descriptors);
        instance->n_descriptors = 0;
}

/* The supervisor -------------------------------------------------------------------------------
 */

void instance_keep(struct instance *instance)
{
        const struct kept_engine kept = {
            .protocol = wire_engine_protocol.version,
            .pid = (uint32_t)engine_host_pid(instance->engine),
            .uid = instance->uid,
            .user = (uint8_t)instance->ops->kept,
        };
        char name[SUPERVISOR_NAME_MAX + 1];
        int fds[2];

        if (instance->host->keeper == NULL)
                return;
        keeper_name("vtpm", instance->stored.block.uuid, name);
        engine_host_look(instance->engine, fds);
        keeper_put(instance->host->keeper, name, kept_engine_code, &kept, fds);
        instance->kept = true;
}

void instance_unkeep(struct instance *instance)
{
        char name[SUPERVISOR_NAME_MAX + 1];

        if (!instance->kept)
                return;
        instance->kept = false;
        keeper_name("vtpm", instance->stored.block.uuid, name);
        keeper_drop(instance->host->keeper, name);
}

static void end_engine(struct instance *instance)
{
        note_use(instance);
        power_off(instance);
        instance_unkeep(instance);
        commit_forget(instance->host->commit, instance);
        engine_host_free(TAKE(instance->engine));
        parking_end(instance);
        if (instance->sm.state != INSTANCE_IDLE && instance->sm.state != INSTANCE_GONE)
                sm_move(&instance->sm, INSTANCE_IDLE);
}

void instance_end_making(struct instance *instance, enum instance_state state)
{
        commit_forget(instance->host->commit, instance);
        engine_host_free(TAKE(instance->engine));
        making_free(TAKE(instance->making));
        sm_move(&instance->sm, state);
}

void instance_interrupt_making(struct instance *instance)
{
        struct err err = {0};

        if (instance->sm.state != INSTANCE_COMPLETING)
                return;
        (void)err_set(&err, ERR_INTERRUPTED, "the vTPM is wanted");
        making_fail(instance, &err);
}

static void on_ready(void *user)
{
        struct instance *instance = user;
        bool started;

        (void)snprintf(instance->host->degraded, sizeof(instance->host->degraded), "%s",
                       engine_host_degraded(instance->engine));
        if (instance->making != NULL)
                return;
        started = instance->sm.state == INSTANCE_STARTING;
        sm_move(&instance->sm, INSTANCE_LIVE);
        note_use(instance);
        parking_live(instance);
        if (started)
                instance->ops->started(instance->user, NULL);
}

/* Its user was told that it started. */
static bool is_up(const struct instance *instance)
{
        const unsigned state = instance->sm.state;

        return state == INSTANCE_LIVE || state == INSTANCE_PARKING || state == INSTANCE_PARKED ||
               state == INSTANCE_WAKING || state == INSTANCE_ADOPTING;
}

static void on_event(void *user, enum engine_event_kind kind, uint32_t init_count)
{
        struct instance *instance = user;

        instance->init_count = init_count;
        if (is_up(instance) && instance->ops->event != NULL)
                instance->ops->event(instance->user, kind, init_count);
}

static void on_died(void *user, const struct err *err)
{
        struct instance *instance = user;
        const bool was_up = is_up(instance);

        if (instance->making != NULL) {
                making_fail(instance, err);
                return;
        }
        end_engine(instance);
        if (was_up)
                instance->ops->died(instance->user, err);
        else
                instance->ops->started(instance->user, err);
}

static int on_ask(void *user, const struct engine_question *question, struct err *err)
{
        struct instance *instance = user;

        if (instance->making != NULL || instance->ops->ask == NULL)
                return err_set(err, ERR_MALFORMED, "engine: asks what it must not");
        return instance->ops->ask(instance->user, question, err);
}

static int on_parked(void *user, const struct engine_parked *parked, int fds[2], struct err *err)
{
        return parking_answer(user, parked, fds, err);
}

static const struct engine_host_ops engine_ops = {on_ready, on_persist, on_event,
                                                  on_died,  on_ask,     on_parked};

/* What every engine of this instance has in common; ops and user are the caller's. */
static struct engine_host_request engine_request(struct instance *instance, uint32_t flags,
                                                 int control)
{
        struct instance_host *host = instance->host;

        return (struct engine_host_request){.event = host->event,
                                            .hub = host->hub,
                                            .zygote = host->zygote,
                                            .path = host->engine_path,
                                            .spares = host->spares,
                                            .uid = uids_next(&host->uids),
                                            .nice = (unsigned)host->config->engine_nice,
                                            .memory_max = host->config->engine_memory << 20,
                                            .uuid = instance->stored.block.uuid,
                                            .flags = flags,
                                            .control = control};
}

struct engine_host_request instance_engine_request(struct instance *instance, int control)
{
        struct engine_host_request request = engine_request(instance, 0, control);

        request.ops = &engine_ops;
        request.user = instance;
        instance->init_count = 0;
        return request;
}

static int start_engine(struct instance *instance, struct bytes permanent, uint32_t flags,
                        int control, struct err *err)
{
        struct engine_host_request request = engine_request(instance, flags, control);

        request.permanent = permanent;
        request.ops = &engine_ops;
        request.user = instance;
        instance->init_count = 0;
        if (engine_host_start(&request, &instance->engine, err) != 0)
                return err->code;
        instance->uid = engine_host_uid(instance->engine);
        return 0;
}

int instance_resume(struct instance *instance, const struct engine_wake *wake, int control,
                    int data, struct err *err)
{
        const uint32_t flags = instance->bound != NULL ? ENGINE_START_BOUND : 0;
        struct engine_host_request request = engine_request(instance, flags, control);
        int rc;

        request.permanent = wake->permanent;
        request.wake = wake;
        request.data = data;
        request.ops = &engine_ops;
        request.user = instance;
        rc = engine_host_start(&request, &instance->engine, err);
        if (rc == 0)
                instance->uid = engine_host_uid(instance->engine);
        return rc;
}

int instance_put_volatile(struct instance *instance, struct bytes state, commit_fn *done,
                          void *user, struct err *err)
{
        struct store_put put = {.kind = STORE_KIND_VOLATILE, .plain = state};

        memcpy(put.uuid, instance->stored.block.uuid, sizeof(put.uuid));
        if (commit_begin(instance->host->commit, err) != 0 ||
            store_put_blob(instance->host->store, &put, err) != 0)
                return err->code;
        instance->stored.sequence++;
        return commit_then(instance->host->commit, done, user, 0, err);
}

void instance_fail(struct instance *instance, const struct err *err)
{
        end_engine(instance);
        instance->ops->died(instance->user, err);
}

/* A state that was parked when the TCB ended belongs to a guest that ended with it. */
static int drop_volatile(struct instance *instance, struct err *err)
{
        struct store_blob left;
        struct err ignored = {0};
        int rc = store_get_blob(instance->host->store, instance->stored.block.uuid,
                                STORE_KIND_VOLATILE, &left, &ignored);
        bool empty = rc == 0 && left.len == 0;

        if (rc == 0)
                store_blob_free(&left);
        if (rc == ERR_NOT_FOUND || empty)
                return 0;
        return instance_put_volatile(instance, (struct bytes){NULL, 0}, NULL, NULL, err);
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

static int adopt_live(struct instance *instance, struct keeper_left *left, struct err *err)
{
        const struct engine_host_request request = {.event = instance->host->event,
                                                    .hub = instance->host->hub,
                                                    .ops = &engine_ops,
                                                    .user = instance};
        struct spawn_child child = {.sibling = true};
        struct kept_engine kept;
        int rc = keeper_left_decode(left, kept_engine_code, &kept, sizeof(kept), err);

        if (rc == 0 && kept.protocol != wire_engine_protocol.version)
                rc = err_set(err, ERR_UNSUPPORTED, "its engine speaks version %u, we speak %u",
                             kept.protocol, wire_engine_protocol.version);
        if (rc == 0)
                rc = drop_volatile(instance, err);
        if (rc != 0)
                return rc;
        child.pid = (pid_t)kept.pid;
        child.pidfd = TAKE_FD(left->fds[1]);
        rc = engine_host_adopt(&request, TAKE_FD(left->fds[0]), &child, &instance->engine, err);
        if (rc != 0)
                return rc;
        instance->uid = kept.uid;
        sm_move(&instance->sm, INSTANCE_ADOPTING);
        return 0;
}

static int adopt_parked(struct instance *instance, struct keeper_left *left, struct err *err)
{
        struct kept_parked kept;
        int rc = keeper_left_decode(left, kept_parked_code, &kept, sizeof(kept), err);

        if (rc == 0)
                rc = parking_adopt(instance, &kept, left->fds, err);
        if (rc == 0)
                instance->uid = kept.uid;
        return rc;
}

int instance_adopt(struct instance *instance, struct keeper_left *left,
                   const struct instance_user *ops, void *user, struct err *err)
{
        int rc;

        instance->ops = ops;
        instance->user = user;
        rc = power_on(instance, err);
        if (rc != 0)
                return rc;
        rc = left->message->code == kept_parked_code ? adopt_parked(instance, left, err)
                                                     : adopt_live(instance, left, err);
        if (rc != 0)
                return err_wrap(err, "vTPM %s", instance->stored.name);
        instance->kept = true;
        uids_note(&instance->host->uids, instance->uid);
        return 0;
}

void instance_adopt_engine(struct instance *instance, struct engine_host *engine,
                           const struct instance_user *ops, void *user)
{
        const size_t n = instance->n_descriptors; /* which stay its own */

        instance_stop(instance);
        instance->n_descriptors = n;
        instance->host->descriptors.taken += n;
        instance->ops = ops;
        instance->user = user;
        instance->engine = engine;
        instance->init_count = engine_host_init_count(engine);
        engine_host_hand_over(engine, &engine_ops, instance);
        sm_move(&instance->sm, INSTANCE_STARTING);
        sm_move(&instance->sm, INSTANCE_LIVE);
        parking_live(instance);
        instance_keep(instance);
}

/* Life ----------------------------------------------------------------------------------------- */

static int start_stored(struct instance *instance, uint32_t flags, int control,
                        const struct instance_user *ops, void *user, struct err *err)
{
        struct store_blob permanent;
        int rc;

        instance_interrupt_making(instance);
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
        rc = power_on(instance, err);
        if (rc == 0)
                rc = drop_volatile(instance, err);
        if (rc == 0)
                rc = start_engine(instance, (struct bytes){permanent.data, permanent.len}, flags,
                                  control, err);
        store_blob_free(&permanent);
        if (rc == 0)
                sm_move(&instance->sm, INSTANCE_STARTING);
        /* It has been told all that it must know: the next TCB can wait for it as well as we. */
        if (rc == 0)
                instance_keep(instance);
        else
                power_off(instance);
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
        instance_interrupt_making(instance);
        if (instance->engine != NULL || instance->parked != NULL)
                end_engine(instance);
}

int instance_delete(struct instance *instance, commit_fn *done, void *user, struct err *err)
{
        struct instance_host *host = instance->host;

        instance_interrupt_making(instance);
        if (!sm_can_move(&instance->sm, INSTANCE_GONE) || instance->engine != NULL)
                return err_set(err, ERR_CONFLICT, "vTPM %s is %s", instance->stored.name,
                               sm_name(&instance->sm));
        if (commit_begin(host->commit, err) != 0 ||
            store_delete_instance(host->store, instance->stored.block.uuid, err) != 0 ||
            making_forget_records(instance, err) != 0)
                return err->code;
        sm_move(&instance->sm, INSTANCE_GONE);
        return commit_then(host->commit, done, user, 0, err);
}
