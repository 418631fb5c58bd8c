#include "wire/tcb.h"

#define WIRE_DEF      "wire/tcb.def"
#define WIRE_MESSAGES tcb_messages
#include "wire/tables.h"

const struct wire_protocol wire_tcb_protocol = {
    .name = "catena-tcb",
    .version = 1,
    .payload_max = (4U << 20) + 4096,
    .messages = tcb_messages,
    .n_messages = ARRAY_SIZE(tcb_messages),
};
