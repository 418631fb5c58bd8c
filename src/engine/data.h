/*
 * The data channel: raw TPM commands from the guest, one at a time, each answered. What is not a
 * command is answered with an error and forgotten; the guest can only spoil its own TPM.
 */
#ifndef ENGINE_DATA_H
#define ENGINE_DATA_H

#include "engine/engine.h"

/* Runs the whole commands in the input buffer until one's answer has to wait. */
int data_run(struct engine *engine, struct err *err) MUST_CHECK;

/* Half a command that never became whole: TPM_RC_COMMAND_SIZE, and a fresh start. */
int data_abandon(struct engine *engine) MUST_CHECK;

#endif
