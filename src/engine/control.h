/*
 * QEMU's control channel (wire/control.h): takes whole messages, has them carried out and answers.
 */
#ifndef ENGINE_CONTROL_H
#define ENGINE_CONTROL_H

#include "engine/engine.h"

/*
 * Handles the whole messages in the input buffer until an answer has to wait. What breaks the
 * protocol is answered with an error and the channel is closed. Negative only for failures that
 * end the engine.
 */
int control_run(struct engine *engine, struct err *err) MUST_CHECK;

/* Closes both of QEMU's channels, powers off and tells the TCB why. */
int control_hang_up(struct engine *engine, enum engine_event_kind why, struct err *err) MUST_CHECK;

#endif
