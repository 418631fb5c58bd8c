/*
 * The TCB's side of the zygote (wire/zygote.def): starts one, has engines forked from it, and
 * starts another one when it is gone. Engines are children of this process and outlive it.
 */
#ifndef VMM_ZYGOTE_H
#define VMM_ZYGOTE_H

#include <stdint.h>

#include "base/spawn.h"

#define VMM_ZYGOTE_ANSWER_MSEC 5000
#define VMM_ZYGOTE_WARM_MSEC   60000

struct vmm_zygote;

/* path is catena-vtpm's. The process is started with the first fork, or with vmm_zygote_warm(). */
int vmm_zygote_new(const char *path, struct vmm_zygote **ret_zygote, struct err *err) MUST_CHECK;
void vmm_zygote_free(struct vmm_zygote *zygote);

/* Its engines, and itself, are to be our siblings, who outlive us; see spawn.h. Before the first.
 */
void vmm_zygote_set_siblings(struct vmm_zygote *zygote);

/* Starts the process if it does not run. It warms up for a while before it forks. */
int vmm_zygote_warm(struct vmm_zygote *zygote, struct err *err) MUST_CHECK;

struct vmm_zygote_request {
        uid_t uid;           /* of the engine: its own when the caller is root */
        int core;            /* the engine's ends of its channels; both stay the caller's */
        int control;         /* -1: a spare one, which is given it later (engine_attach) */
        unsigned nice;       /* 0 to 19, on top of the caller's */
        uint64_t memory_max; /* bytes; 0: no limit */
        int patience_msec;   /* for one that warms up, counted from its start */
};

/*
 * Forks an engine; waits for it, which takes well under a millisecond where the zygote is warm. One
 * that has died, or does not answer within VMM_ZYGOTE_ANSWER_MSEC, is replaced first. For one that
 * warms up the caller waits no longer than its patience, all callers together: ERR_TIMEOUT, and it
 * goes on warming up, for VMM_ZYGOTE_WARM_MSEC at most. The caller owns and reaps *ret_child, as
 * after spawn_start().
 */
int vmm_zygote_fork(struct vmm_zygote *zygote, const struct vmm_zygote_request *request,
                    struct spawn_child *ret_child, struct err *err) MUST_CHECK;

/* failure: NULL if child, which is taken, is there. */
typedef void vmm_zygote_fn(void *user, struct spawn_child *child, const struct err *failure);

/*
 * The same without waiting: when *ret_fd, which stays the zygote's until done(user), has something
 * to read, or whenever it suits, vmm_zygote_settle() calls done. So do the next ask or fork, and
 * the zygote's end: one is asked at a time. ERR_TIMEOUT: it warms up; nobody waits for that here.
 */
int vmm_zygote_ask(struct vmm_zygote *zygote, const struct vmm_zygote_request *request,
                   vmm_zygote_fn *done, void *user, int *ret_fd, struct err *err) MUST_CHECK;

/* Waits for what was asked, if it was, and tells. */
void vmm_zygote_settle(struct vmm_zygote *zygote);

/* Writes its number, and that of every one that replaces it, to this cgroup.procs; not taken. */
void vmm_zygote_set_cgroup(struct vmm_zygote *zygote, int procs);

/* Its process, 0 when none runs. */
pid_t vmm_zygote_pid(const struct vmm_zygote *zygote);

/* What its own start lacks of isolation, or "". */
const char *vmm_zygote_words(const struct vmm_zygote *zygote);

#endif
