/*
 * A vTPM instance: what the store has of it, and its engine while one runs. Life cycle:
 *
 *   manufacturing -> idle -> starting -> live -> idle, idle -> completing -> idle, idle -> gone
 *   live -> parking -> parked -> waking -> live, and each of them -> idle; see parking.h
 *   idle -> adopting -> live: the TCB before us started its engine; see keeper.h
 *
 * An engine that dies takes the instance back to idle; whoever uses it is told. While completing,
 * more keys are made (making.h); whoever wants the instance then simply ends that.
 */
#ifndef TCB_INSTANCE_H
#define TCB_INSTANCE_H

#include "base/sm.h"
#include "base/table.h"
#include "tcb/commit.h"
#include "tcb/config.h"
#include "tcb/descriptors.h"
#include "tcb/engine-host.h"
#include "tcb/keeper.h"
#include "tcb/measure.h"
#include "tcb/uids.h"

enum instance_state {
        INSTANCE_MANUFACTURING,
        INSTANCE_IDLE,
        INSTANCE_STARTING,
        INSTANCE_LIVE,
        INSTANCE_COMPLETING,
        INSTANCE_PARKING,
        INSTANCE_PARKED,
        INSTANCE_WAKING,
        INSTANCE_ADOPTING,
        INSTANCE_GONE,
};

/* What instances need of the TCB. */
struct instance_host {
        sd_event *event;
        struct store *store;
        struct commit *commit;
        struct wire_hub *hub; /* of the engines' core channels */
        const struct tcb_config *config;
        const struct measurements *measurements;
        char engine_path[PATH_MAX];
        struct vmm_zygote *zygote; /* of all engines */
        struct keeper *keeper;     /* NULL: nothing outlives this process */
        struct spares *spares;     /* engines ahead of time; NULL: none */
        struct parking *parking;   /* NULL: nothing is parked */
        struct descriptors descriptors;
        struct uids uids;   /* of engines and guests */
        char degraded[520]; /* what the last engine's sandbox lacked */
        struct known_answer *known_answer;
        const struct instance_index *all; /* of the vTPMs that this host has; NULL: not known */
        struct instance *pool;            /* made in advance; see pool.h */
        size_t n_pool;
        struct instance *pool_taken; /* to be forgotten in a quiet moment */
};

struct instance;
struct instance_index;
struct making;

/* What a new instance shall be. */
struct instance_request {
        const char *name;
        const uint8_t *uuid; /* BLOCK_UUID_LEN bytes */
        /*
         * PROFILE_BASE_SEED_SIZE bytes that the keys follow from, from whoever manages keys; then
         * the known-answer test must have passed. NULL: random ones, which nobody ever knows.
         */
        const struct secret *base_seed;
        struct bytes permanent; /* of a TPM that exists already; empty: a new one */
        uint8_t eks;            /* made at once: mask of 1 << enum tpm_ek_kind; P-256 always is */
        uint8_t later;          /* made when the instance is idle, where not made at once */
        bool for_pool;          /* made in advance: nobody waits for it */
};

/* Told to whoever made or started the instance. */
struct instance_user {
        /* The engine serves; or it could not be started (err), and died() does not follow. */
        void (*started)(void *user, const struct err *err);
        void (*event)(void *user, enum engine_event_kind kind, uint32_t init_count);
        void (*died)(void *user, const struct err *err);
        /* Of an instance started with ENGINE_START_BOUND: engine_host_decide() answers. */
        int (*ask)(void *user, const struct engine_question *question, struct err *err);
        enum kept_user kept; /* who it is, to the next TCB */
};

struct bound;
struct parked;
struct vm;

struct instance {
        struct instance *next; /* of instance-index.h, as the next three; the pool's own list */
        struct instance *prev;
        struct table_entry by_name;
        struct table_entry by_uuid;
        struct vm *vm;       /* of a VM of ours, else NULL */
        struct bound *bound; /* of an operator-bound one, else NULL; see bound.h */
        struct instance_host *host;
        struct sm sm;
        struct store_instance stored;
        uint8_t ek_pub[1024]; /* TPM2B_PUBLIC of the P-256 EK, read from our own engine */
        size_t ek_pub_len;
        struct engine_host *engine;
        struct parked *parked;      /* while it is parking or parked; see parking.h */
        struct instance *live_prev; /* of parking.c's ring of those that may be asked to */
        struct instance *live_next;
        commit_fn *park_done; /* told once when it is parked (0) or is not (1) */
        void *park_user;
        bool park_anyway; /* it was asked if it is idle; if not, it is to park all the same */
        uint32_t init_count;
        uint64_t last_use; /* it started, saved or ended then; seconds since 1970, 0: not yet */
        uint32_t uid;
        bool kept;            /* at the supervisor's */
        bool using_up;        /* waking: that its state is used up is not durable yet */
        uint64_t used_up_due; /* waking: the engine's number of that save, to be told then */
        const struct instance_user *ops;
        void *user;
        struct making *making; /* while manufacturing or completing */
        uint8_t later;         /* keys that are still to be made: mask of 1 << enum tpm_ek_kind */
        uint8_t certified;     /* keys whose certificate came with the state: the same */
        bool created;          /* the store has it */
        size_t n_descriptors;  /* counted for it while it has power */
};

struct instance_index;

/* Finds all instances of the store; they are idle. After an error some are in the index. */
int instances_load(struct instance_host *host, struct instance_index *index,
                   struct err *err) MUST_CHECK;

/*
 * Makes a new instance and manufactures its TPM in an engine of its own: the store has it, with
 * the names of its EKs, when ops->started() comes without an error. On an error it is forgotten
 * again and its state is INSTANCE_GONE; the owner of the list frees it. (making.c)
 */
int instance_create(struct instance_host *host, const struct instance_request *request,
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

/*
 * Takes over the engine that was left of an idle instance, or its parked state. Its user is told
 * what it is told of a live one, died() too; not started().
 */
int instance_adopt(struct instance *instance, struct keeper_left *left,
                   const struct instance_user *ops, void *user, struct err *err) MUST_CHECK;

/* parking.c: the supervisor keeps its engine for the next TCB; or no longer what it kept. */
void instance_keep(struct instance *instance);
void instance_unkeep(struct instance *instance);

/* parking.c: a woken engine on these states. The instance stays as it is if that fails. */
int instance_resume(struct instance *instance, const struct engine_wake *wake, int control,
                    int data, struct err *err) MUST_CHECK;

/* parking.c: the volatile state takes the place of the one before; done(user) when durable. */
int instance_put_volatile(struct instance *instance, struct bytes state, commit_fn *done,
                          void *user, struct err *err) MUST_CHECK;

/*
 * parking.c: the state that it wakes with is used up; the engine, which says so itself before it
 * serves anybody, is told once that is durable. Begun before it asks, it costs no time.
 */
int instance_use_up(struct instance *instance, struct err *err) MUST_CHECK;

/* parking.c: it cannot go on; its user is told that it died. */
void instance_fail(struct instance *instance, const struct err *err);

/* Ends the engine, if one runs, or what is parked. died() is not called. */
void instance_stop(struct instance *instance);

/* Forgets the instance and all its state for good; idle ones only. done(user, 0) when durable. */
int instance_delete(struct instance *instance, commit_fn *done, void *user,
                    struct err *err) MUST_CHECK;

void instance_free(struct instance *instance);

/* ---- for making.c and bound.c ---- */

/* A new one in this state, or NULL without memory. */
struct instance *instance_new(struct instance_host *host, enum instance_state state);

/* How to start an engine for it: all but its state. Takes a user id. */
struct engine_host_request instance_engine_request(struct instance *instance, int control);

/* Somebody wants the instance: the keys that it still lacks can wait. */
void instance_interrupt_making(struct instance *instance);

/* Ends engine and making without a word to anybody; the instance is in that state then. */
void instance_end_making(struct instance *instance, enum instance_state state);

#endif
