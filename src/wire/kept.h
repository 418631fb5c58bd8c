/*
 * Records that the supervisor keeps for the next TCB; wire/kept.def is their document.
 */
#ifndef WIRE_KEPT_H
#define WIRE_KEPT_H

#include "wire/message.h"

/* Whose an engine is. */
enum kept_user {
        KEPT_USER_CLIENT = 1, /* somebody opened the vTPM (tcb_vtpm_open) */
        KEPT_USER_VM = 2,     /* of ours */
        KEPT_USER_PEER = 3,   /* a QEMU of the operator's */
        KEPT_USER_LAST = KEPT_USER_PEER,
};

/* What became of the saved VM that a QEMU of the operator's restored. */
enum kept_standing {
        KEPT_STANDING_OWN = 0,      /* it restored none, or its guest has gone on since */
        KEPT_STANDING_RESTORED = 1, /* no command of its guest ran yet */
        KEPT_STANDING_CLAIMING = 2, /* its guest may go on as soon as the store says so */
        KEPT_STANDING_LAST = KEPT_STANDING_CLAIMING,
};

#define WIRE_DEF "wire/kept.def"
#include "wire/structs.h"
#undef WIRE_DEF

/* Not spoken on any wire. */
extern const struct wire_protocol wire_kept_protocol;

#endif
