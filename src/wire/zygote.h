/*
 * The protocol between the TCB and its zygote; wire/zygote.def is its document.
 */
#ifndef WIRE_ZYGOTE_H
#define WIRE_ZYGOTE_H

#include "wire/message.h"

#define ZYGOTE_NICE_MAX 19

/* How an engine gets an identity of its own. */
enum zygote_user {
        ZYGOTE_USER_NAMESPACE = 1, /* its own user namespace, where it has the number uid */
        ZYGOTE_USER_ID = 2,        /* becomes uid; the zygote is root */
};

#define WIRE_DEF "wire/zygote.def"
#include "wire/structs.h"
#undef WIRE_DEF

extern const struct wire_protocol wire_zygote_protocol;

#endif
