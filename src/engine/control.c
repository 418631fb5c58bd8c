#include "engine/control.h"

#include "engine/control-request.h"
#include "engine/core.h"

#define ANSWER_MAX (16 + CONTROL_INFO_MAX)

/* An error answer is as long as a good one: QEMU 7.2 waits for all of it. */
static void put_error(struct writer *answer, size_t answer_len, uint32_t result)
{
        answer->len = 0;
        writer_put_be32(answer, result);
        while (answer->len < answer_len)
                writer_put_u8(answer, 0);
}

static int reply(struct engine *engine, struct bytes answer)
{
        return stream_send(&engine->control, answer);
}

/* Runs one whole message; returns 1 when the channel is to be closed after the answer. */
static int dispatch(struct engine *engine, uint32_t code, struct reader body, struct err *err)
{
        const struct control_shape *shape = control_shape(code);
        const struct control_row *row = control_row(code);
        uint8_t space[ANSWER_MAX];
        struct writer answer;
        struct control_request request = {.engine = engine, .body = body, .answer = &answer};
        int rc = CONTROL_BAD_ORDINAL;

        writer_init_fixed(&answer, space, sizeof(space));
        engine->served = true;
        if ((row->states & SM_TO(engine->life.state)) != 0)
                rc = row->handle(&request, err);
        if (rc < 0)
                return err_wrap(err, "%s", shape->name);
        if (rc > 0 || writer_check(&answer) != 0)
                put_error(&answer, shape->answer_len, rc > 0 ? (uint32_t)rc : CONTROL_FAIL);
        return reply(engine, writer_bytes(&answer)) != 0 || request.close;
}

/* What the input starts with: a whole message, part of one, or nothing that can be one. */
enum arrival { PARTIAL, WHOLE, BROKEN };

struct message {
        uint32_t code;
        size_t size;  /* in the buffer: code and the body that the handler reads */
        size_t extra; /* bytes that follow and are dropped unread */
};

static enum arrival look(const struct stream *stream, struct message *ret)
{
        struct reader r = reader_from(stream->in, stream->in_len);
        const struct control_shape *shape;
        struct message message = {0};
        struct reader body;
        uint32_t more = 0;

        if (reader_get_be32(&r, &message.code) != 0)
                return PARTIAL;
        shape = control_shape(message.code);
        if (shape == NULL)
                return BROKEN;
        if (reader_get_child(&r, shape->body_len, &body) != 0)
                return PARTIAL;
        message.size = CONTROL_CODE_SIZE + shape->body_len;
        if (shape->length_at != CONTROL_NO_LENGTH &&
            (reader_skip(&body, shape->length_at) != 0 || reader_get_be32(&body, &more) != 0 ||
             more > shape->more_max))
                return BROKEN;
        if (more > control_row(message.code)->keep_max)
                message.extra = more;
        else if (reader_left(&r) < more)
                return PARTIAL;
        else
                message.size += more;
        *ret = message;
        return WHOLE;
}

static int break_off(struct engine *engine, struct err *err)
{
        uint8_t space[CONTROL_CODE_SIZE];
        struct writer answer;

        writer_init_fixed(&answer, space, sizeof(space));
        writer_put_be32(&answer, CONTROL_BAD_ORDINAL);
        /* The peer is gone or wrong; whether it hears this does not matter. */
        (void)!reply(engine, writer_bytes(&answer));
        return control_hang_up(engine, ENGINE_EVENT_CLOSED, err);
}

static bool skip_refused(struct engine *engine)
{
        struct stream *stream = &engine->control;
        size_t n = engine->control_skip < stream->in_len ? engine->control_skip : stream->in_len;

        stream_consume(stream, n);
        engine->control_skip -= n;
        return engine->control_skip > 0;
}

static int run_one(struct engine *engine, const struct message *message, struct err *err)
{
        struct stream *stream = &engine->control;
        struct reader body =
            reader_from(stream->in + CONTROL_CODE_SIZE, message->size - CONTROL_CODE_SIZE);
        int rc = dispatch(engine, message->code, body, err);

        if (rc < 0)
                return rc;
        if (rc > 0)
                return control_hang_up(engine,
                                       message->code == CONTROL_SHUTDOWN ? ENGINE_EVENT_SHUTDOWN
                                                                         : ENGINE_EVENT_CLOSED,
                                       err);
        stream_consume(stream, message->size);
        engine->control_skip = message->extra;
        return 0;
}

int control_run(struct engine *engine, struct err *err)
{
        struct stream *stream = &engine->control;
        struct message message;
        int rc = 0;

        while (rc == 0 && stream->in_len > 0 && !stream_has_output(stream)) {
                enum arrival arrival;

                if (skip_refused(engine) || stream->in_len == 0)
                        break;
                arrival = look(stream, &message);
                if (arrival == PARTIAL)
                        break;
                rc = arrival == BROKEN ? break_off(engine, err) : run_one(engine, &message, err);
        }
        return rc;
}

int control_hang_up(struct engine *engine, enum engine_event_kind why, struct err *err)
{
        fd_close(&engine->passed_fd);
        stream_close(&engine->control);
        stream_close(&engine->data);
        engine->control_skip = 0;
        if (engine->life.state != ENGINE_WAITING)
                engine_power_off(engine);
        return core_send_event(engine, why, err);
}
