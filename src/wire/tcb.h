/*
 * The ABI of the TCB; wire/tcb.def is its document.
 */
#ifndef WIRE_TCB_H
#define WIRE_TCB_H

#include "wire/message.h"

#define TCB_STATE_MAX    (160U << 10) /* bytes of a TPM's state */
#define TCB_SOCKET_MAX   107          /* bytes of a socket's path */
#define TCB_NAME_MAX     63 /* bytes of a VM's, a vTPM's or an image's name: [a-z0-9._-] */
#define TCB_EVIDENCE_MAX (4U << 20)

enum tcb_scope {
        TCB_SCOPE_HOST = 0, /* the host alone */
        TCB_SCOPE_VM = 1,   /* the host and the VM with this name */
        TCB_SCOPE_ALL = 2,  /* the host and every VM on it, none hidden */
};

#define WIRE_DEF "wire/tcb.def"
#include "wire/structs.h"
#undef WIRE_DEF

extern const struct wire_protocol wire_tcb_protocol;

#endif
