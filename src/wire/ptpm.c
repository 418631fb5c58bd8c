#include "wire/ptpm.h"

#define WIRE_DEF      "wire/ptpm.def"
#define WIRE_MESSAGES ptpm_messages
#include "wire/tables.h"

const struct wire_protocol wire_ptpm_protocol = {
    .name = "catena-ptpm",
    .version = 1,
    .payload_max = 16U << 10,
    .messages = ptpm_messages,
    .n_messages = ARRAY_SIZE(ptpm_messages),
};
