/*
 * One engine process as the TCB sees it: started with the state of its TPM, its saves handed to
 * the owner, its TPM commands asked between the guest's. What it sends is hostile until checked.
 */
#ifndef TCB_ENGINE_HOST_H
#define TCB_ENGINE_HOST_H

#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/spawn.h"
#include "wire/engine.h"
#include "wire/event.h"

struct engine_host;
struct vmm_zygote;

/* What a bound engine asks (wire/engine.def); data is the volatile state or the token. */
enum engine_question_kind { ENGINE_ASKS_CLAIM, ENGINE_ASKS_SAVE, ENGINE_ASKS_RESTORE };
struct engine_question {
        enum engine_question_kind kind;
        struct bytes data;
};

struct engine_host_ops {
        void (*ready)(void *user);
        /*
         * Store this; engine_host_persisted() when it is durable, but never for a draft. An error
         * ends the engine.
         */
        int (*persist)(void *user, const struct engine_persist *persist, struct err *err);
        void (*event)(void *user, enum engine_event_kind kind, uint32_t init_count);
        /* It is gone, or has been ended for breaking the protocol. */
        void (*died)(void *user, const struct err *err);
        /* engine_host_decide() answers it, now or later. NULL: no engine of theirs may ask. */
        int (*ask)(void *user, const struct engine_question *question, struct err *err);
        /*
         * The answer to engine_host_park(). NULL: it is busy and goes on. Otherwise it waits for
         * its end or for engine_host_unpark(); fds are its control and data channel, to be taken
         * (set to -1) or left. NULL here: no engine of theirs is parked.
         */
        int (*parked)(void *user, const struct engine_parked *parked, int fds[2], struct err *err);
};

struct engine_host_request {
        sd_event *event;
        struct wire_hub *hub;      /* serves its core channel; NULL: the loop itself */
        struct vmm_zygote *zygote; /* forked from this; NULL: started by path */
        struct spares *spares;     /* unless one of these is there; NULL: never */
        const char *path;          /* of catena-vtpm */
        unsigned nice;             /* the zygote's limits */
        uint64_t memory_max;
        int patience_msec;      /* for a zygote that warms up; 0: as its guest can bear */
        uid_t uid;              /* of one that is forked or started: see engine_host_uid() */
        const uint8_t *uuid;    /* 16 bytes */
        uint32_t flags;         /* of enum engine_start_flags */
        struct bytes permanent; /* empty: manufacture, unless ENGINE_START_EMPTY */
        struct bytes seed;      /* for the manufacture: empty, or ENGINE_SEED_SIZE bytes */
        int control;            /* QEMU's emulator channel, the engine's end; stays ours */
        const struct engine_wake *wake; /* it goes on where it was parked; NULL: a start */
        int data;                       /* of a wake: QEMU's data channel; stays ours */
        const struct engine_host_ops *ops;
        void *user;
};

/* Starts an engine for the request's vTPM; ops tell what it asks and when it ends. */
int engine_host_start(const struct engine_host_request *request, struct engine_host **ret_host,
                      struct err *err) MUST_CHECK;

/*
 * Takes over an engine that another TCB started: its core channel and its process, a sibling of
 * ours. Of the request only event, hub, ops and user count. ops->ready() when the engine has
 * answered; what it waited for it asks once more, and ops->event() repeats the last one that it
 * sent. Takes core and the child's pidfd, also on failure.
 */
int engine_host_adopt(const struct engine_host_request *request, int core,
                      const struct spawn_child *child, struct engine_host **ret_host,
                      struct err *err) MUST_CHECK;

/* What a supervisor keeps of it: fds of the core channel and the process; they stay the host's. */
void engine_host_look(const struct engine_host *host, int ret_fds[2]);

/* Another owner takes the engine over; its ops are told from now on. */
void engine_host_hand_over(struct engine_host *host, const struct engine_host_ops *ops, void *user);

/* Answers the engine's question; it asks one at a time. */
int engine_host_decide(struct engine_host *host, const struct engine_decided *decided,
                       struct err *err) MUST_CHECK;

/*
 * Asks a live engine to park; ops->parked() answers. idle_only: not if its guest did anything since
 * it was asked last. ERR_CONFLICT: it is being asked already.
 */
int engine_host_park(struct engine_host *host, bool idle_only, struct err *err) MUST_CHECK;
int engine_host_unpark(struct engine_host *host, struct err *err) MUST_CHECK;

/* INITs of QEMU's so far. */
uint32_t engine_host_init_count(const struct engine_host *host);

/* Kills the engine if it runs; ops are not called any more, and may call this. NULL is allowed. */
void engine_host_free(struct engine_host *host);

/*
 * The same for an engine that has nothing left to do, without waiting until the kernel has taken
 * its memory back, which others would have to wait for: the loop reaps it.
 */
void engine_host_dismiss(struct engine_host *host);

/* The user id that it runs under as root's: the request's, or a spare's own. */
uid_t engine_host_uid(const struct engine_host *host);

/* The engine's process. */
pid_t engine_host_pid(const struct engine_host *host);

/* What kernel or container did not grant, or "". */
const char *engine_host_degraded(const struct engine_host *host);

/* The version of its libtpms, once it is ready. */
const char *engine_host_libtpms(const struct engine_host *host);

/* Tells a woken engine that the state of its wake is used up durably, whether it asked or not. */
int engine_host_used_up(struct engine_host *host, struct err *err) MUST_CHECK;

/* Tells the engine that the state with this sequence number is durable. */
int engine_host_persisted(struct engine_host *host, uint64_t sequence, struct err *err) MUST_CHECK;

/*
 * Runs one TPM command; reply is called with its response. One command at a time, but a draft
 * (ENGINE_START_DRAFT) takes more with the same reply and user, from its start on.
 */
typedef void engine_reply_fn(void *user, struct bytes response);
int engine_host_command(struct engine_host *host, struct bytes command, engine_reply_fn *reply,
                        void *user, struct err *err) MUST_CHECK;

#endif
