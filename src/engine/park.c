#include "engine/park.h"

#include <stdlib.h>
#include <string.h>

#include "engine/core.h"
#include "engine/interpose.h"
#include "engine/vtpm.h"

/* Between two of the guest's commands, with nothing half done on either channel. */
static bool is_between_commands(const struct engine *engine)
{
        const struct stream *const streams[] = {&engine->control, &engine->data};

        if (engine->life.state != ENGINE_RUNNING || engine->queue_len > 0 ||
            engine->passed_fd >= 0 || engine->control_skip > 0)
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(streams); i++)
                if (streams[i]->fd < 0 || streams[i]->in_len > 0 || stream_has_output(streams[i]))
                        return false;
        return true;
}

static uint32_t command_size(void)
{
        uint32_t min;
        uint32_t max;

        return vtpm_set_buffer_size(0, &min, &max);
}

static void set_command_size(uint32_t size)
{
        uint32_t min;
        uint32_t max;

        (void)vtpm_set_buffer_size(size, &min, &max);
}

static int hand_over(struct engine *engine, struct bytes state, struct err *err)
{
        const int fds[] = {engine->control.fd, engine->data.fd};
        const struct engine_parked parked = {
            .init_count = engine->init_count,
            .buffer_size = command_size(),
            .locality = engine->locality,
            .marks = (uint8_t)((engine->startup_seen ? ENGINE_MARK_STARTED : 0) |
                               (engine->locked ? ENGINE_MARK_LOCKED : 0)),
            .volatile_state = state,
        };

        return core_park(engine, &parked, fds, err);
}

int park_engine(struct engine *engine, const struct wire_frame *frame, struct err *err)
{
        struct engine_park park;
        uint8_t *state = NULL;
        size_t len = 0;
        bool idle;
        int rc = wire_frame_decode(frame, &park, sizeof(park), err);

        if (rc != 0)
                return rc;
        idle = !engine->served;
        engine->served = false;
        if (!is_between_commands(engine) || (park.idle_only != 0 && !idle))
                return core_send_busy(engine, err);
        rc = vtpm_get_volatile(&state, &len, err);
        if (rc == 0)
                rc = hand_over(engine, (struct bytes){state, len}, err);
        if (state != NULL)
                explicit_bzero(state, len);
        free(state);
        return rc;
}

static int check(const struct engine *engine, const struct engine_wake *wake, struct err *err)
{
        /* Either of them empty would mean another start: manufacture, or a cold one. */
        if (engine->life.state != ENGINE_WAITING || wake->permanent.len == 0 ||
            wake->volatile_state.len == 0)
                return err_set(err, ERR_MALFORMED, "core channel: nothing to wake");
        if ((wake->flags & ~(uint32_t)ENGINE_START_BOUND) != 0 ||
            (wake->marks & ~ENGINE_MARKS_KNOWN) != 0 || wake->locality > VTPM_LOCALITY_MAX)
                return err_set(err, ERR_MALFORMED, "core channel: unknown flags");
        return 0;
}

static int load(struct engine *engine, const struct engine_wake *wake, struct err *err)
{
        return vtpm_load(&(struct vtpm_setup){.permanent = wake->permanent,
                                              .volatile_state = wake->volatile_state,
                                              .volatile_kept = true, /* core_use_up() */
                                              .resume = true,
                                              .persist = core_persist,
                                              .context = engine},
                         err);
}

int park_wake(struct engine *engine, struct wire_frame *frame, struct err *err)
{
        struct engine_wake wake;
        int AUTO_FD data = TAKE_FD(frame->fds[0]);
        int rc = wire_frame_decode(frame, &wake, sizeof(wake), err);

        if (rc == 0)
                rc = check(engine, &wake, err);
        if (rc == 0)
                rc = load(engine, &wake, err);
        if (rc != 0)
                return err_wrap(err, "wake");
        interpose_set_clock(wake.clock);
        engine->bound = (wake.flags & ENGINE_START_BOUND) != 0;
        engine->init_count = wake.init_count;
        engine->locality = wake.locality;
        engine->startup_seen = (wake.marks & ENGINE_MARK_STARTED) != 0;
        set_command_size(wake.buffer_size);
        sm_move(&engine->life, ENGINE_OFF);
        rc = engine_power_on(engine, ENGINE_RUNNING, err);
        if (rc != 0)
                return err_wrap(err, "wake");
        core_use_up(engine);
        engine->locked = (wake.marks & ENGINE_MARK_LOCKED) != 0;
        stream_init(&engine->data, TAKE_FD(data));
        return 0;
}
