/*
 * catena-vtpm: see engine.h. Started by the TCB with descriptor 3, the core channel, and 4, QEMU's
 * control channel; takes no arguments and opens nothing.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "engine/confine.h"
#include "engine/engine.h"
#include "engine/interpose.h"
#include "engine/vtpm.h"

static int serve(struct err *err)
{
        static char words[256];
        struct engine AUTO_ENGINE *engine = NULL;
        int control = fcntl(CONFINE_CONTROL_FD, F_GETFD) >= 0 ? CONFINE_CONTROL_FD : -1;
        int rc;

        if (fcntl(CONFINE_CORE_FD, F_GETFD) < 0)
                return err_set(err, ERR_USAGE, "not started by catena-tcb: no core channel");
        interpose_warm_up();
        rc = engine_new(CONFINE_CORE_FD, control, &engine, err);
        if (rc == 0)
                rc = confine_engine(engine->watch.epoll, words, sizeof(words), err);
        if (rc != 0)
                return rc;
        if (words[0] != '\0')
                log_warning(NULL, "the sandbox lacks: %s", words);
        engine->sandbox_words = words;
        return engine_run(engine, err);
}

int main(void)
{
        struct err err = {0};

        log_init("catena-vtpm", LOG_LEVEL_INFO);
        if (serve(&err) != 0) {
                log_error(&(struct log_fields){.err = &err}, "ends");
                _exit(EXIT_FAILURE);
        }
        /* Not exit(3): what it would run is written for a world with files. */
        _exit(EXIT_SUCCESS);
}
