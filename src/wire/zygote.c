#include "wire/zygote.h"

#define WIRE_DEF      "wire/zygote.def"
#define WIRE_MESSAGES zygote_messages
#include "wire/tables.h"

const struct wire_protocol wire_zygote_protocol = {
    .name = "catena-zygote",
    .version = 1,
    .payload_max = 256,
    .messages = zygote_messages,
    .n_messages = ARRAY_SIZE(zygote_messages),
};
