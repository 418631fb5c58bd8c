/*
 * How much memory a process uses, as the kernel counts it.
 */
#ifndef TCB_ENGINE_MEMORY_H
#define TCB_ENGINE_MEMORY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct engine_memory {
        uint64_t rss; /* bytes in memory, those shared with other processes included; 0: unknown */
        uint64_t pss; /* shared ones divided among their users; 0: not measured */
};

/* precise also measures pss, which costs a walk over the process's pages. */
struct engine_memory engine_memory_of(pid_t pid, bool precise);

#endif
