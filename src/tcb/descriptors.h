/*
 * How many vTPMs can have power at a time: each holds descriptors of this process, alive or parked,
 * and one that could not be woken for want of them would be lost to its guest. So a start is
 * refused while there are still enough for what runs.
 */
#ifndef TCB_DESCRIPTORS_H
#define TCB_DESCRIPTORS_H

#include <stddef.h>

#include "base/err.h"

/* A vTPM's two: its engine and the process, or QEMU's channels while it is parked. */
#define DESCRIPTORS_VTPM 2
/* Those of a VM of ours, and of a vTPM with a socket for an operator's QEMU. */
#define DESCRIPTORS_VM    14
#define DESCRIPTORS_BOUND 6

struct descriptors {
        size_t limit; /* of the process; 0: not known, nothing is refused */
        size_t taken; /* by what has power */
};

/* Raises this process's limit as far as it may. */
void descriptors_raise(void);

/* Knows this process's limit; nothing is taken. */
void descriptors_init(struct descriptors *descriptors);

/* How many vTPMs without a VM may have power at a time. */
size_t descriptors_vtpms(const struct descriptors *descriptors);

/* n more; ERR_LIMIT, with a hint, when the rest is for those that have power already. */
int descriptors_take(struct descriptors *descriptors, size_t n, struct err *err) MUST_CHECK;
void descriptors_give(struct descriptors *descriptors, size_t n);

#endif
