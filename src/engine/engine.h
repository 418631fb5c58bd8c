/*
 * catena-vtpm: one TPM 2.0 for one VM. Three channels: the core channel to the TCB
 * (wire/engine.def), QEMU's control channel, and the data channel that QEMU hands over through it.
 * One thread, one loop; a channel that is slow or broken does not hold up the others.
 *
 * Life: the TCB's ENGINE_START loads or manufactures the TPM (OFF). QEMU's INIT powers it on for
 * the guest (RUNNING), STOP, SHUTDOWN and the end of QEMU power it off.
 *
 * The TCB's own commands (ENGINE_COMMAND) run between two of the guest's, at locality 0:
 *  - While the TPM is off the first one powers it on privately (PRIVATE); the TCB then sends
 *    TPM2_Startup itself, and TPM2_Shutdown(CLEAR) when it is done, so that the guest's next start
 *    counts as orderly. QEMU sees nothing of it: commands on the data channel are answered
 *    0x101 (not yet initialised), and its STOP or INIT ends the private session with everything
 *    volatile in it (PCRs, loaded keys, sessions).
 *  - While RUNNING they share the guest's TPM: what they load the TCB must flush. TPM2_Startup is
 *    the guest's alone and answered TPM_RC_INITIALIZE (0x100).
 * They are never counted as INIT and raise no ENGINE_EVENT.
 *
 * An engine for a QEMU that the TCB did not start is *bound* (bound.h).
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/busy-wait.h"
#include "base/sm.h"
#include "engine/stream.h"
#include "engine/watch.h"
#include "wire/engine.h"
#include "wire/link.h"

#define ENGINE_QUEUE_MAX       8    /* TCB's commands that wait behind a PERSIST */
#define ENGINE_HALF_COMMAND_MS 1000 /* after this a half command is answered with an error */
#define ENGINE_SWEEP_MS        250  /* after this without a turn, memory is given back */

enum engine_state {
        ENGINE_WAITING, /* for ENGINE_START */
        ENGINE_OFF,
        ENGINE_PRIVATE, /* on, for the TCB's commands only */
        ENGINE_RUNNING, /* on, for the guest */
        ENGINE_STATE_COUNT,
};

/* A command of the TCB's that came while the engine waited for a PERSISTED. */
struct engine_queued {
        uint32_t id;
        size_t len;
        uint8_t command[ENGINE_COMMAND_MAX];
};

struct engine {
        struct sm life;
        struct wire_link *core; /* NULL in tests that need none */
        struct watch watch;
        struct stream control;
        struct stream data;
        size_t control_skip; /* bytes of a refused message's body still to come */
        int passed_fd;       /* came on the control channel, not yet claimed */
        uint8_t locality;    /* of the guest's commands */
        uint32_t init_count;
        bool startup_seen; /* since the last INIT */
        bool draft;        /* ENGINE_START_DRAFT: nothing waits until it is durable */
        bool bound;        /* QEMU was not started by the TCB; see bound.h */
        bool locked;       /* bound: the guest's next command needs the TCB's consent */
        bool served;       /* anything of QEMU's since the last engine_park */
        bool stopping;
        bool ready;                /* and has said so */
        uint8_t last_event;        /* that the TCB was told, 0: none yet */
        uint32_t adoptions;        /* TCBs after the first */
        uint64_t sequence;         /* of the last PERSIST */
        struct busy_wait answers;  /* of the TCB's to saves */
        struct busy_wait commands; /* of the guest's behind the last one */
        uint64_t looked;           /* after all channels, by clock_usec() */
        bool answered;             /* one of the guest's, in the last turn */
        bool unswept;              /* commands left memory behind that nobody uses */
        const char *sandbox_words;
        size_t queue_len;
        struct engine_queued queue[ENGINE_QUEUE_MAX];
        struct stream_buffers control_bytes;
        struct stream_buffers data_bytes;
};

/* Takes the descriptors; control_fd may be -1 (a TPM for the TCB alone). */
int engine_new(int core_fd, int control_fd, struct engine **ret_engine, struct err *err) MUST_CHECK;

/* The same without a core channel: blobs count as persisted at once. For tests and fuzzing. */
int engine_new_detached(struct engine **ret_engine, struct err *err) MUST_CHECK;

void engine_free(struct engine *engine);
DEFINE_CLEANUP(struct engine *, engine_free)
#define AUTO_ENGINE CLEANUP(engine_free_p)

/* Takes QEMU's control channel, non-blocking, which a spare engine is given before it starts. */
int engine_attach(struct engine *engine, int control_fd, struct err *err) MUST_CHECK;

/* Serves until the TCB says stop or closes the core channel (0), or fails for good. */
int engine_run(struct engine *engine, struct err *err) MUST_CHECK;

/* Power for the guest or the TCB, and off; the state machine moves along. */
int engine_power_on(struct engine *engine, enum engine_state state, struct err *err) MUST_CHECK;
void engine_power_off(struct engine *engine);

#endif
