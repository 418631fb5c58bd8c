/*
 * catena-vtpm: see engine.h. Started by the TCB with descriptor 3, the core channel, and 4, QEMU's
 * control channel; or, as catena-vtpm --zygote, with descriptor 3 alone (zygote.h). Opens nothing.
 */
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "engine/confine.h"
#include "engine/core.h"
#include "engine/engine.h"
#include "engine/interpose.h"
#include "engine/vtpm.h"
#include "engine/warm.h"
#include "engine/zygote.h"

#define KEPT_FREE  (1 << 20)
#define STATE_SIZE 16384 /* of a parked TPM, about */

/* What the sandbox and the start before it lack, for the TCB and the log. */
static const char *join(const char *start)
{
        static char words[256];
        const size_t len = strlen(words);

        if (start[0] != '\0')
                (void)snprintf(words + len, sizeof(words) - len, "%s%s", len > 0 ? ", " : "",
                               start);
        return words;
}

static int serve(const struct zygote_child *start, const struct err *failure, struct err *err)
{
        char words[200];
        struct engine AUTO_ENGINE *engine = NULL;
        int control = fcntl(CONFINE_CONTROL_FD, F_GETFD) >= 0 ? CONFINE_CONTROL_FD : -1;
        int rc;

        if (fcntl(CONFINE_CORE_FD, F_GETFD) < 0)
                return err_set(err, ERR_USAGE, "not started by catena-tcb: no core channel");
        rc = engine_new(CONFINE_CORE_FD, control, &engine, err);
        if (rc == 0 && failure != NULL) {
                core_send_failed(engine, failure);
                *err = *failure;
                return err->code;
        }
        if (rc == 0)
                rc = confine_engine(engine->watch.epoll, words, sizeof(words), err);
        if (rc != 0)
                return rc;
        (void)join(start->words);
        engine->sandbox_words = join(words);
        if (start->spare)
                rc = wire_link_expect(engine->core, STATE_SIZE, err);
        if (rc == 0 && start->spare)
                rc = warm_rehearse(err);
        if (rc != 0)
                return rc;
        return engine_run(engine, err);
}

/* The zygote returns from here in each of its children, and once itself. */
static int serve_from_zygote(struct err *err)
{
        struct zygote_child child = {0};
        struct err failure = {0};
        int rc;

        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
                return err_set(err, ERR_FAILED, "make not dumpable");
        rc = zygote_run(&child, &failure);
        if (child.words != NULL)
                return serve(&child, rc != 0 ? &failure : NULL, err);
        *err = failure;
        return rc;
}

int main(int argc, char **argv)
{
        const bool zygote = argc == 2 && strcmp(argv[1], "--zygote") == 0;
        struct err err = {0};
        int rc;

        log_init("catena-vtpm", LOG_LEVEL_INFO);
        /* What a save takes is kept for the next one; engine.c gives it back. */
        (void)mallopt(M_MMAP_THRESHOLD, KEPT_FREE);
        (void)mallopt(M_TRIM_THRESHOLD, KEPT_FREE);
        interpose_warm_up();
        if (argc > 1 && !zygote)
                rc = err_set(&err, ERR_USAGE, "not started by catena-tcb");
        else
                rc = zygote ? serve_from_zygote(&err)
                            : serve(&(struct zygote_child){.words = ""}, NULL, &err);
        if (rc != 0) {
                log_error(&(struct log_fields){.err = &err}, "ends");
                _exit(EXIT_FAILURE);
        }
        /* Not exit(3): what it would run is written for a world with files. */
        _exit(EXIT_SUCCESS);
}
