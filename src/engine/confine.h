/*
 * The engine's sandbox: which system calls it needs, and nothing of the file system.
 */
#ifndef ENGINE_CONFINE_H
#define ENGINE_CONFINE_H

#include "base/err.h"

#define CONFINE_CORE_FD    3 /* to the TCB */
#define CONFINE_CONTROL_FD 4 /* to QEMU; may be absent */

/*
 * Enters the sandbox with these two descriptors. ret_words (size bytes) says what the kernel did
 * not grant, or "". There is no way back.
 */
int confine_engine(int watch, char *ret_words, size_t size, struct err *err) MUST_CHECK;

#endif
