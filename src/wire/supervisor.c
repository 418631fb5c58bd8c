#include "wire/supervisor.h"

#define WIRE_DEF      "wire/supervisor.def"
#define WIRE_MESSAGES supervisor_messages
#include "wire/tables.h"

const struct wire_protocol wire_supervisor_protocol = {
    .name = "catena-supervisor",
    .version = 1,
    .payload_max = 1024,
    .messages = supervisor_messages,
    .n_messages = ARRAY_SIZE(supervisor_messages),
};
