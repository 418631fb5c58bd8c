/*
 * The protocol between the TCB and the agent in a guest; wire/agent.def is its document.
 */
#ifndef WIRE_AGENT_H
#define WIRE_AGENT_H

#include "wire/message.h"

#define AGENT_PORT_NAME   "org.catena.agent.0"
#define AGENT_TCG_LOG_MAX (1U << 20)
#define AGENT_IMA_LOG_MAX (4U << 20)

#define WIRE_DEF "wire/agent.def"
#include "wire/structs.h"
#undef WIRE_DEF

extern const struct wire_protocol wire_agent_protocol;

#endif
