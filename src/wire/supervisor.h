/*
 * The protocol between the TCB and its supervisor; wire/supervisor.def is its document.
 */
#ifndef WIRE_SUPERVISOR_H
#define WIRE_SUPERVISOR_H

#include "wire/message.h"

#define SUPERVISOR_NAME_MAX   64
#define SUPERVISOR_RECORD_MAX 512
#define SUPERVISOR_KEY_LEN    32
#define SUPERVISOR_FDS_MAX    3

#define WIRE_DEF "wire/supervisor.def"
#include "wire/structs.h"
#undef WIRE_DEF

extern const struct wire_protocol wire_supervisor_protocol;

#endif
