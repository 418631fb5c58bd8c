/*
 * The engine's sandbox: which system calls it needs, and nothing of the file system.
 */
#ifndef ENGINE_CONFINE_H
#define ENGINE_CONFINE_H

#include "base/err.h"
#include "base/sandbox.h"

#define CONFINE_CORE_FD    3 /* to the TCB */
#define CONFINE_CONTROL_FD 4 /* to QEMU; may be absent */

/* The sanitizers' own calls are allowed in a build with them, and its memory is not limited. */
#define CONFINE_SANITIZED SANDBOX_SANITIZED

/*
 * For a zygote: makes the filter for its children once. Each that is process 1 of its own
 * namespace, as far as the kernel grants one, is confined with it.
 */
int confine_prepare(struct err *err) MUST_CHECK;

/*
 * Enters the sandbox with these two descriptors. ret_words (size bytes) says what the kernel did
 * not grant, or "". There is no way back.
 */
int confine_engine(int watch, char *ret_words, size_t size, struct err *err) MUST_CHECK;

#endif
