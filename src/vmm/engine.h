/*
 * Starts catena-vtpm, one process a vTPM: an own identity, no file system, no network, and two
 * descriptors, 3 to the TCB and 4 to QEMU. Talking to it is wire/engine.h.
 */
#ifndef VMM_ENGINE_H
#define VMM_ENGINE_H

#include "base/spawn.h"

struct vmm_engine {
        struct spawn_child child; /* pid 0: none */
};

/*
 * path is catena-vtpm's; uid is its own user when the caller is root, otherwise ignored. Both
 * sockets stay the caller's. child.degraded and child.words say what the kernel refused.
 */
int vmm_engine_start(const char *path, uid_t uid, int core, int control,
                     struct vmm_engine *ret_engine, struct err *err) MUST_CHECK;

/* Kills and reaps it, if it runs. */
void vmm_engine_kill(struct vmm_engine *engine);

#endif
