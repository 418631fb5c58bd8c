#include "engine/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "engine/control.h"
#include "engine/core.h"
#include "engine/data.h"
#include "engine/pages.h"
#include "engine/vtpm.h"

#define LOOK_USEC  500 /* so long the guest's channel may go before the others */
#define LOOK_TRIES 8   /* of reading, before they are looked at */

static const struct sm_state states[ENGINE_STATE_COUNT] = {
    [ENGINE_WAITING] = {"waiting", SM_TO(ENGINE_OFF)},
    [ENGINE_OFF] = {"off", SM_TO(ENGINE_PRIVATE) | SM_TO(ENGINE_RUNNING)},
    [ENGINE_PRIVATE] = {"private", SM_TO(ENGINE_OFF)},
    [ENGINE_RUNNING] = {"running", SM_TO(ENGINE_OFF)},
};

static bool power_agrees(const struct sm *sm)
{
        return vtpm_is_on() == (sm->state == ENGINE_PRIVATE || sm->state == ENGINE_RUNNING);
}

/*
 * One process is one TPM (vtpm.h), so one engine: not from the heap, where its buffers, most of
 * them never touched, would be cleared page by page.
 */
static struct engine the_engine;
static bool in_use;

int engine_new_detached(struct engine **ret_engine, struct err *err)
{
        struct engine *engine = &the_engine;

        if (in_use)
                return err_set(err, ERR_CONFLICT, "this process has an engine");
        in_use = true;
        sm_init(&engine->life, "engine", states, ENGINE_STATE_COUNT, ENGINE_WAITING, power_agrees);
        stream_set_up(&engine->control, &engine->control_bytes);
        stream_set_up(&engine->data, &engine->data_bytes);
        engine->passed_fd = -1;
        engine->watch.epoll = -1;
        engine->sandbox_words = "";
        *ret_engine = engine;
        return 0;
}

int engine_new(int core_fd, int control_fd, struct engine **ret_engine, struct err *err)
{
        struct engine AUTO_ENGINE *engine = NULL;
        int AUTO_FD core = core_fd;
        int AUTO_FD control = control_fd;
        int rc = engine_new_detached(&engine, err);

        if (rc == 0)
                rc = watch_open(&engine->watch, err);
        if (rc == 0 && control >= 0)
                rc = fd_set_nonblocking(control, err);
        if (rc == 0)
                rc = wire_link_new(TAKE_FD(core), &wire_engine_protocol, WIRE_SERVER, &engine->core,
                                   err);
        if (rc != 0)
                return rc;
        stream_init(&engine->control, TAKE_FD(control));
        *ret_engine = TAKE(engine);
        return 0;
}

int engine_attach(struct engine *engine, int control_fd, struct err *err)
{
        int AUTO_FD control = control_fd;

        if (engine->life.state != ENGINE_WAITING || engine->control.fd >= 0)
                return err_set(err, ERR_MALFORMED, "core channel: second control channel");
        stream_init(&engine->control, TAKE_FD(control));
        return 0;
}

void engine_free(struct engine *engine)
{
        if (engine == NULL)
                return;
        vtpm_unload();
        wire_link_free(engine->core);
        watch_close(&engine->watch);
        stream_close(&engine->control);
        stream_close(&engine->data);
        fd_close(&engine->passed_fd);
        explicit_bzero(engine, sizeof(*engine));
        in_use = false;
}

int engine_power_on(struct engine *engine, enum engine_state state, struct err *err)
{
        int rc;

        engine_power_off(engine);
        vtpm_set_locality(engine->locality);
        rc = vtpm_power_on(err);
        if (rc == 0)
                sm_move(&engine->life, state);
        return rc;
}

void engine_power_off(struct engine *engine)
{
        vtpm_power_off();
        if (engine->life.state != ENGINE_OFF)
                sm_move(&engine->life, ENGINE_OFF);
}

/* ---- the loop ---- */

/* Descriptors that came with bytes: one is kept for SET_DATAFD, anything else is an offence. */
static bool keep_passed(struct engine *engine, int *fds, size_t n_fds)
{
        if (n_fds == 0)
                return true;
        if (n_fds == 1 && engine->passed_fd < 0) {
                engine->passed_fd = fds[0];
                return true;
        }
        for (size_t i = 0; i < n_fds; i++)
                fd_close(&fds[i]);
        return false;
}

static int control_ready(struct engine *engine, struct err *err)
{
        int fds[FD_PASS_MAX];
        size_t n_fds = 0;
        int n = stream_fill(&engine->control, fds, &n_fds);
        int rc;

        if (n < 0 || !keep_passed(engine, fds, n_fds))
                return control_hang_up(engine, ENGINE_EVENT_CLOSED, err);
        rc = control_run(engine, err);
        /* A descriptor that nobody claimed although its message is through. */
        if (rc == 0 && engine->passed_fd >= 0 && engine->control.in_len == 0)
                rc = control_hang_up(engine, ENGINE_EVENT_CLOSED, err);
        return rc;
}

static int data_ready(struct engine *engine, struct err *err)
{
        if (stream_fill(&engine->data, NULL, NULL) < 0) {
                stream_close(&engine->data);
                return 0;
        }
        return data_run(engine, err);
}

struct channel {
        struct stream *stream;
        int (*ready)(struct engine *engine, struct err *err);
        int (*run)(struct engine *engine, struct err *err);
};

/* Either output waits and only that is served, or input may come. */
static int serve_channel(struct engine *engine, const struct channel *channel, uint32_t revents,
                         struct err *err)
{
        if (revents == 0)
                return 0;
        if (!stream_has_output(channel->stream))
                return channel->ready(engine, err);
        if (stream_flush(channel->stream) != 0) {
                stream_close(channel->stream);
                return 0;
        }
        return channel->run(engine, err);
}

enum slot { SLOT_CORE, SLOT_CONTROL, SLOT_DATA };

/* Before the TCB has said what TPM this is, nobody else is listened to: QEMU may be faster. */
static int watch_stream(struct engine *engine, enum slot slot, const struct stream *stream,
                        struct err *err)
{
        const struct watch_slot wanted = {.fd = engine->life.state == ENGINE_WAITING ? -1
                                                                                     : stream->fd,
                                          .generation = stream->generation,
                                          .events = stream_has_output(stream) ? EPOLLOUT : EPOLLIN};

        return watch_set(&engine->watch, slot, &wanted, err);
}

/* What a turn serves. */
struct turn {
        struct engine *engine;
        uint32_t revents[WATCH_SLOTS];
        int n;       /* 0: nothing came in time */
        bool filled; /* by the guest's channel, whose bytes were taken already */
        unsigned tries;
        int rc;
        struct err *err;
};

/* The other channels have been looked at a moment ago, so that the guest's may go first. */
static bool may_take_early(const struct turn *turn)
{
        const struct engine *engine = turn->engine;

        return turn->tries % LOOK_TRIES != 0 && engine->data.fd >= 0 &&
               !stream_has_output(&engine->data) && clock_usec() - engine->looked < LOOK_USEC;
}

/* To read costs less than to ask whether there is something to read. */
static bool has_come(void *user)
{
        struct turn *turn = user;
        struct engine *engine = turn->engine;

        turn->tries++;
        if (may_take_early(turn)) {
                turn->filled = stream_fill(&engine->data, NULL, NULL) > 0;
                turn->n = turn->filled;
                return turn->filled;
        }
        engine->looked = clock_usec();
        turn->rc = watch_wait(&engine->watch, 0, turn->revents, &turn->n, turn->err);
        return turn->rc != 0 || turn->n > 0;
}

static int wait_for_channels(struct engine *engine, struct turn *turn, bool half, struct err *err)
{
        const struct watch_slot core = {.fd = wire_link_fd(engine->core), .events = EPOLLIN};
        const bool more = engine->answered;
        int timeout = half ? ENGINE_HALF_COMMAND_MS : -1;

        engine->answered = false;
        if (watch_set(&engine->watch, SLOT_CORE, &core, err) != 0 ||
            watch_stream(engine, SLOT_CONTROL, &engine->control, err) != 0 ||
            watch_stream(engine, SLOT_DATA, &engine->data, err) != 0)
                return err->code;
        /* A guest's driver that sends one command after the other. */
        if (more && busy_wait(&engine->commands, BUSY_WAIT_EVENT_USEC, has_come, turn))
                return turn->rc;
        if (!half && engine->unswept)
                timeout = ENGINE_SWEEP_MS;
        return watch_wait(&engine->watch, timeout, turn->revents, &turn->n, err);
}

/*
 * While the guest goes on everything is kept for the next command: to map, fault in and unmap the
 * quarter of a megabyte that libtpms writes a save into costs more than all else that the engine
 * does for one (main.c sets the limits). When it pauses, what commands and answers passed through
 * is wiped, and their pages are given back.
 */
static void sweep(struct engine *engine)
{
        engine->unswept = false;
        stream_rest(&engine->control);
        stream_rest(&engine->data);
        if (engine->queue_len == 0)
                pages_wipe(engine->queue, sizeof(engine->queue));
        wire_link_rest(engine->core);
        vtpm_rest();
        pages_give_back_variables();
        pages_give_back_stack();
}

static int serve_once(struct engine *engine, struct err *err)
{
        const struct channel control = {&engine->control, control_ready, control_run};
        const struct channel data = {&engine->data, data_ready, data_run};
        const bool half = engine->data.in_len > 0 && !stream_has_output(&engine->data);
        const uint32_t generation = engine->data.generation;
        struct turn turn = {.engine = engine, .err = err};
        int rc = wait_for_channels(engine, &turn, half, err);

        if (rc != 0)
                return rc;
        if (turn.n == 0 && half && data_abandon(engine) != 0)
                stream_close(&engine->data);
        if (turn.n == 0 && engine->unswept)
                sweep(engine);
        /* The TCB first; the guest's commands come last and cannot starve it. */
        if (turn.n > 0)
                engine->unswept = true;
        if (turn.revents[SLOT_CORE] != 0)
                rc = core_receive(engine, err);
        if (rc == 0)
                rc = serve_channel(engine, &control, turn.revents[SLOT_CONTROL], err);
        if (rc == 0 && engine->data.generation == generation)
                rc = turn.filled ? data_run(engine, err)
                                 : serve_channel(engine, &data, turn.revents[SLOT_DATA], err);
        /* Whatever ran may have waited for a PERSISTED, and the TCB's commands behind it. */
        return rc != 0 ? rc : core_run_queued(engine, err);
}

int engine_run(struct engine *engine, struct err *err)
{
        int rc = 0;

        while (rc == 0 && !engine->stopping)
                rc = serve_once(engine, err);
        if (rc == ERR_UNREACHABLE)
                return 0;
        if (rc != 0)
                core_send_failed(engine, err);
        return rc;
}
