#include "wire/agent.h"

#define WIRE_DEF      "wire/agent.def"
#define WIRE_MESSAGES agent_messages
#include "wire/tables.h"

const struct wire_protocol wire_agent_protocol = {
    .name = "catena-agent",
    .version = 1,
    .payload_max = 6U << 20,
    .renews = true, /* the guest was reset, or its agent started again: QEMU keeps the channel */
    .messages = agent_messages,
    .n_messages = ARRAY_SIZE(agent_messages),
};
