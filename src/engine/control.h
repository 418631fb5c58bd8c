/*
 * QEMU's control channel to a TPM emulator: swtpm's protocol, as far as QEMU 7.2 speaks it. Big
 * endian: a u32 code and a body, whose length the code decides; the answer starts with a u32
 * result and always has the length that QEMU waits for.
 */
#ifndef ENGINE_CONTROL_H
#define ENGINE_CONTROL_H

#include "engine/engine.h"

#define CONTROL_BODY_MAX (4 + 4096) /* HASH_DATA */

/* Results: TPM 1.2's codes, which this protocol uses. */
enum control_result {
        CONTROL_OK = 0,
        CONTROL_BAD_PARAMETER = 3,
        CONTROL_DISABLED_CMD = 8, /* refused here by design */
        CONTROL_FAIL = 9,
        CONTROL_BAD_ORDINAL = 10, /* unknown, or not in this state */
        CONTROL_IOERROR = 31,
        CONTROL_BAD_LOCALITY = 61,
};

/*
 * Handles the whole messages in the input buffer until an answer has to wait. What breaks the
 * protocol is answered with an error and the channel is closed. Negative only for failures that
 * end the engine.
 */
int control_run(struct engine *engine, struct err *err) MUST_CHECK;

/* Closes both of QEMU's channels, powers off and tells the TCB why. */
int control_hang_up(struct engine *engine, enum engine_event_kind why, struct err *err) MUST_CHECK;

#endif
