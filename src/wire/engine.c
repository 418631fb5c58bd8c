#include "wire/engine.h"

#define WIRE_DEF      "wire/engine.def"
#define WIRE_MESSAGES engine_messages
#include "wire/tables.h"

const struct wire_protocol wire_engine_protocol = {
    .name = "catena-engine",
    .version = 1,
    .payload_max = 200U << 10,
    .messages = engine_messages,
    .n_messages = ARRAY_SIZE(engine_messages),
};
