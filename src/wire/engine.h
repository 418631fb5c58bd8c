/*
 * The protocol between the TCB and one engine; wire/engine.def is its document.
 */
#ifndef WIRE_ENGINE_H
#define WIRE_ENGINE_H

#include "wire/message.h"

#define ENGINE_BLOB_MAX    (160U << 10) /* fresh 1.3 kB; 144 kB when a guest has filled NV */
#define ENGINE_COMMAND_MAX 4096         /* TPM2_PT_MAX_COMMAND_SIZE */
#define ENGINE_SEED_SIZE   48           /* what libtpms draws while it manufactures */
#define ENGINE_TOKEN_SIZE  36           /* what QEMU keeps in place of a state: magic, random */

enum engine_start_flags {
        /* QEMU was not started by the TCB: the guest's commands wait for engine_decided. */
        ENGINE_START_BOUND = 1 << 0,
        /* No TPM yet: it comes with a token that QEMU shows. Only with ENGINE_START_BOUND. */
        ENGINE_START_EMPTY = 1 << 1,
        /*
         * Keys are made, and nobody is served: QEMU's channel is closed, states are handed over
         * without waiting for engine_persisted, which must not come. Alone or not at all.
         */
        ENGINE_START_DRAFT = 1 << 2,
};

/* What a parked engine knew beside its TPM's state. */
enum engine_marks {
        ENGINE_MARK_STARTED = 1 << 0, /* TPM2_Startup succeeded since the last INIT */
        ENGINE_MARK_LOCKED = 1 << 1,  /* bound: the next command needs consent */
};
#define ENGINE_MARKS_KNOWN (ENGINE_MARK_STARTED | ENGINE_MARK_LOCKED)

enum engine_blob_kind {
        ENGINE_BLOB_PERMANENT = 1,
        ENGINE_BLOB_VOLATILE = 2,
        ENGINE_BLOB_SAVESTATE = 3,
};

enum engine_event_kind {
        ENGINE_EVENT_INIT = 1,     /* TPM_INIT from QEMU: power on or reset */
        ENGINE_EVENT_STARTUP = 2,  /* first TPM2_Startup that succeeded after an INIT */
        ENGINE_EVENT_SHUTDOWN = 3, /* CMD_SHUTDOWN from QEMU */
        ENGINE_EVENT_CLOSED = 4,   /* QEMU closed its control channel */
        ENGINE_EVENT_REFUSED = 5,  /* INIT without a TPM (ENGINE_START_EMPTY) */
};

#define WIRE_DEF "wire/engine.def"
#include "wire/structs.h"
#undef WIRE_DEF

extern const struct wire_protocol wire_engine_protocol;

#endif
