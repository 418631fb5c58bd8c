/*
 * An engine whose guest is idle gives way (wire/engine.def, engine_park): it hands its volatile
 * state and QEMU's channels to the TCB and waits for its end, or for the word to go on. Another
 * engine wakes up with them, and the guest notices nothing.
 */
#ifndef ENGINE_PARK_H
#define ENGINE_PARK_H

#include "engine/engine.h"

/* Answers engine_park. Returns after engine_unpark, engine_busy or engine_stop. */
int park_engine(struct engine *engine, const struct wire_frame *frame, struct err *err) MUST_CHECK;

/* Handles engine_wake; the caller answers engine_ready. */
int park_wake(struct engine *engine, struct wire_frame *frame, struct err *err) MUST_CHECK;

#endif
