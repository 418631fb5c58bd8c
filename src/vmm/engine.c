#include "vmm/engine.h"

#include <string.h>

#define CORE_FD    3
#define CONTROL_FD 4

int vmm_engine_start(const char *path, uid_t uid, int core, int control,
                     struct vmm_engine *ret_engine, struct err *err)
{
        static const char *const argv[] = {"catena-vtpm", NULL};
        const struct spawn_fd fds[] = {{2, 2}, {core, CORE_FD}, {control, CONTROL_FD}};
        const struct spawn_request request = {
            .path = path,
            .argv = argv,
            .fds = fds,
            .n_fds = ARRAY_SIZE(fds),
            .isolate = SPAWN_ISOLATE_USER | SPAWN_ISOLATE_PID | SPAWN_ISOLATE_NET |
                       SPAWN_ISOLATE_MOUNT | SPAWN_ISOLATE_IPC,
            .uid = uid,
            .gid = uid,
        };

        memset(ret_engine, 0, sizeof(*ret_engine));
        if (spawn_start(&request, &ret_engine->child, err) != 0)
                return err_wrap(err, "start %s", path);
        return 0;
}

void vmm_engine_kill(struct vmm_engine *engine)
{
        if (engine->child.pid > 0)
                spawn_kill(&engine->child);
        engine->child.pid = 0;
}
