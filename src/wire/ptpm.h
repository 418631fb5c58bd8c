/*
 * The protocol between the TCB and the arbiter of the pTPM; wire/ptpm.def is its document.
 */
#ifndef WIRE_PTPM_H
#define WIRE_PTPM_H

#include "wire/message.h"

#define PTPM_PCR_COUNT 24
#define PTPM_PCR_BYTES (PTPM_PCR_COUNT * 32)

/* The EKs that a manufacturer's certificate may be for. */
enum ptpm_ek_kind {
        PTPM_EK_ECC = 0, /* P-256: the parent of AK and CEK */
        PTPM_EK_RSA = 1, /* RSA-2048 */
};

#define WIRE_DEF "wire/ptpm.def"
#include "wire/structs.h"
#undef WIRE_DEF

extern const struct wire_protocol wire_ptpm_protocol;

#endif
