/*
 * The engine's side of the core channel.
 */
#ifndef ENGINE_CORE_H
#define ENGINE_CORE_H

#include "engine/engine.h"

/*
 * Sends what was parked with its two descriptors and waits: 0 when the TCB said that the engine is
 * to go on, or that it is to stop.
 */
int core_park(struct engine *engine, const struct engine_parked *parked, const int fds[2],
              struct err *err) MUST_CHECK;
int core_send_busy(struct engine *engine, struct err *err) MUST_CHECK;

/* Handles one frame that is there (or waits for one on a blocking descriptor). */
int core_receive(struct engine *engine, struct err *err) MUST_CHECK;

/* Runs the commands that waited behind a PERSIST. */
int core_run_queued(struct engine *engine, struct err *err) MUST_CHECK;

/*
 * The persist function of struct vtpm_setup, with the engine as context: sends the blob and returns
 * when the TCB has answered that it is durable, however long that takes; a full disk stalls the
 * guest's command. Ends the process, with nothing acknowledged, when the TCB goes away or says
 * stop.
 */
void core_persist(void *engine, enum engine_blob_kind kind, struct bytes blob);

/*
 * Waits until the TCB has said that the state that the engine wakes with is used up durably; a TCB
 * that takes over meanwhile is asked. Ends the process as core_persist() does.
 */
void core_use_up(struct engine *engine);

/*
 * Asks the TCB one of the questions that engine_decided answers and waits for it. The answer's
 * views are valid until the next frame. Errors end the engine, as for core_persist().
 */
int core_ask(struct engine *engine, uint16_t code, const void *question,
             struct engine_decided *ret_decided, struct err *err) MUST_CHECK;

/* The engine's words to the TCB; without a core channel they do nothing. */
int core_send_event(struct engine *engine, enum engine_event_kind kind, struct err *err) MUST_CHECK;
void core_send_failed(struct engine *engine, const struct err *failure);

#endif
