/*
 * A vTPM instance: what the store has of it, and its engine while one runs. Life cycle:
 *
 *   manufacturing -> idle -> starting -> live -> idle, and idle -> gone
 *
 * An engine that dies takes the instance back to idle; whoever uses it is told.
 */
#ifndef TCB_INSTANCE_H
#define TCB_INSTANCE_H

#include "base/sm.h"
#include "tcb/commit.h"
#include "tcb/config.h"
#include "tcb/engine-host.h"
#include "tcb/measure.h"

enum instance_state {
        INSTANCE_MANUFACTURING,
        INSTANCE_IDLE,
        INSTANCE_STARTING,
        INSTANCE_LIVE,
        INSTANCE_GONE,
};

/* What instances need of the TCB. */
struct instance_host {
        sd_event *event;
        struct store *store;
        struct commit *commit;
        const struct tcb_config *config;
        const struct measurements *measurements;
        char engine_path[PATH_MAX];
        struct vmm_zygote *zygote; /* of all engines */
        uint32_t next_uid;         /* engines and guests of this process so far */
        char degraded[520];        /* what the last engine's sandbox lacked */
};

struct instance;

/* Told to whoever made or started the instance. */
struct instance_user {
        /* The engine serves; or it could not be started (err), and died() does not follow. */
        void (*started)(void *user, const struct err *err);
        void (*event)(void *user, enum engine_event_kind kind, uint32_t init_count);
        void (*died)(void *user, const struct err *err);
        /* Of an instance started with ENGINE_START_BOUND: engine_host_decide() answers. */
        int (*ask)(void *user, const struct engine_question *question, struct err *err);
};

struct bound;
struct vm;

struct instance {
        struct instance *next;
        struct vm *vm;       /* of a VM of ours, else NULL */
        struct bound *bound; /* of an operator-bound one, else NULL; see bound.h */
        struct instance_host *host;
        struct sm sm;
        struct store_instance stored;
        uint8_t ek_pub[1024]; /* TPM2B_PUBLIC of the P-256 EK, read from our own engine */
        size_t ek_pub_len;
        struct engine_host *engine;
        uint32_t init_count;
        uint64_t last_use; /* it started, saved or ended then; seconds since 1970, 0: not yet */
        uint32_t uid;
        uint64_t pending; /* engine's number of the save that is being committed */
        const struct instance_user *ops;
        void *user;
        unsigned step;           /* of the manufacture */
        int manufacture_control; /* keeps the engine's control channel open meanwhile */
};

/* Finds all instances of the store; they are idle. */
int instances_load(struct instance_host *host, struct instance **ret_list,
                   struct err *err) MUST_CHECK;

/*
 * Makes a new instance and manufactures its TPM in an engine of its own: the store has it, with
 * the names of its EK, when ops->started() comes without an error. On an error it is forgotten
 * again and its state is INSTANCE_GONE; the owner of the list frees it.
 */
int instance_create(struct instance_host *host, const char *name, const uint8_t uuid[16],
                    const struct instance_user *ops, void *user, struct instance **ret_instance,
                    struct err *err) MUST_CHECK;

/* Starts the engine on the instance's stored state. control is the engine's end; stays ours. */
int instance_start(struct instance *instance, int control, const struct instance_user *ops,
                   void *user, struct err *err) MUST_CHECK;

/* The same for a QEMU that we did not start: its user is asked (instance_user.ask). */
int instance_start_bound(struct instance *instance, int control, const struct instance_user *ops,
                         void *user, struct err *err) MUST_CHECK;

/*
 * An engine beside the instance's own, without a TPM until a restore brings it one; it belongs to
 * the caller, until instance_adopt_engine() makes it the instance's in place of the other.
 */
int instance_start_second(struct instance *instance, int control, const struct engine_host_ops *ops,
                          void *user, struct engine_host **ret_engine, struct err *err) MUST_CHECK;
void instance_adopt_engine(struct instance *instance, struct engine_host *engine,
                           const struct instance_user *ops, void *user);

/* Ends the engine, if one runs. died() is not called. */
void instance_stop(struct instance *instance);

/* Forgets the instance and all its state for good; idle ones only. done(user, 0) when durable. */
int instance_delete(struct instance *instance, commit_fn *done, void *user,
                    struct err *err) MUST_CHECK;

void instance_free(struct instance *instance);

#endif
