#include "wire/kept.h"

#define WIRE_DEF      "wire/kept.def"
#define WIRE_MESSAGES kept_messages
#include "wire/tables.h"

const struct wire_protocol wire_kept_protocol = {
    .name = "catena-kept",
    .version = 1,
    .payload_max = 1024,
    .messages = kept_messages,
    .n_messages = ARRAY_SIZE(kept_messages),
};
