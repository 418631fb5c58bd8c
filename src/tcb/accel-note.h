/*
 * What the starts of guests found out about KVM, kept for this boot of the host in
 * STATE/run/accel: a restart of the TCB need not try again, a reboot forgets.
 */
#ifndef TCB_ACCEL_NOTE_H
#define TCB_ACCEL_NOTE_H

#include "tcb/config.h"
#include "vmm/accel.h"

/* ACCEL_UNKNOWN where nothing was kept, it is of another boot, or it is not readable. */
enum accel_memory accel_note_get(const struct tcb_config *config);

/* Keeps it; that it cannot be kept is logged and costs another try only. */
void accel_note_put(const struct tcb_config *config, enum accel_memory memory);

#endif
