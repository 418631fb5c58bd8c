/*
 * The protocol between the TCB and the arbiter of the pTPM; wire/ptpm.def is its document.
 */
#ifndef WIRE_PTPM_H
#define WIRE_PTPM_H

#include "wire/message.h"

#define PTPM_PCR_COUNT 24
#define PTPM_PCR_BYTES (PTPM_PCR_COUNT * 32)

#define WIRE_DEF "wire/ptpm.def"
#include "wire/structs.h"
#undef WIRE_DEF

extern const struct wire_protocol wire_ptpm_protocol;

#endif
