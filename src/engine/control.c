#include "engine/control.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "engine/bound.h"
#include "engine/core.h"
#include "engine/data.h"
#include "engine/vtpm.h"

#define CODE_SIZE        4
#define INFO_CHUNK_MAX   2048
#define CAPABILITIES     0xffffU /* all that QEMU 7.2 needs */
#define NO_LENGTH        SIZE_MAX
#define ANSWER_MAX       (16 + INFO_CHUNK_MAX)
#define STATE_DECRYPTED  1U
#define INIT_FLAGS_KNOWN 1U /* delete the volatile state, which every INIT does */
#define ANY_STATE        (SM_TO(ENGINE_OFF) | SM_TO(ENGINE_PRIVATE) | SM_TO(ENGINE_RUNNING))
#define ON_FOR_GUEST     SM_TO(ENGINE_RUNNING)

struct request {
        struct engine *engine;
        struct reader body; /* exactly as long as the row says */
        struct writer *answer;
        bool close; /* set by a handler: answer, then hang up */
};

static int put_ok(struct request *request)
{
        writer_put_be32(request->answer, CONTROL_OK);
        return 0;
}

/* libtpms' results are the protocol's. */
static int put_result(struct request *request, uint32_t result)
{
        writer_put_be32(request->answer, result);
        return 0;
}

static int on_get_capability(struct request *request, struct err *err)
{
        (void)err;
        writer_put_be32(request->answer, CONTROL_OK);
        writer_put_be32(request->answer, CAPABILITIES);
        return 0;
}

static int on_init(struct request *request, struct err *err)
{
        struct engine *engine = request->engine;
        uint32_t flags = 0;
        int rc;

        if (reader_get_be32(&request->body, &flags) != 0 || (flags & ~INIT_FLAGS_KNOWN) != 0)
                return CONTROL_BAD_PARAMETER;
        if (!vtpm_is_loaded()) {
                rc = core_send_event(engine, ENGINE_EVENT_REFUSED, err);
                return rc != 0 ? rc : CONTROL_FAIL;
        }
        if (engine->bound && flags == 0)
                vtpm_drop_volatile();
        rc = engine_power_on(engine, ENGINE_RUNNING, err);
        if (rc != 0)
                return rc;
        engine->locked = engine->bound;
        engine->init_count++;
        engine->startup_seen = false;
        rc = core_send_event(engine, ENGINE_EVENT_INIT, err);
        return rc != 0 ? rc : put_ok(request);
}

static int on_stop(struct request *request, struct err *err)
{
        (void)err;
        engine_power_off(request->engine);
        return put_ok(request);
}

static int on_shutdown(struct request *request, struct err *err)
{
        (void)err;
        request->close = true;
        return put_ok(request);
}

static int on_get_established(struct request *request, struct err *err)
{
        bool established = false;
        uint32_t result = vtpm_get_established(&established);

        (void)err;
        writer_put_be32(request->answer, result);
        writer_put_u8(request->answer, established);
        writer_put(request->answer, "\0\0", 3);
        return 0;
}

/* The locality is the first of four bytes; the rest is the padding of a C union. */
static int get_locality(struct request *request, uint8_t *ret)
{
        uint8_t locality;

        if (reader_get_u8(&request->body, &locality) != 0 || locality > VTPM_LOCALITY_MAX)
                return CONTROL_BAD_LOCALITY;
        *ret = locality;
        return 0;
}

static int on_set_locality(struct request *request, struct err *err)
{
        uint8_t locality;
        int rc = get_locality(request, &locality);

        (void)err;
        if (rc != 0)
                return rc;
        request->engine->locality = locality;
        vtpm_set_locality(locality);
        return put_ok(request);
}

static int on_reset_established(struct request *request, struct err *err)
{
        uint8_t locality;
        int rc = get_locality(request, &locality);

        (void)err;
        if (request->engine->locked)
                return CONTROL_BAD_ORDINAL;
        return rc != 0 ? rc : put_result(request, vtpm_reset_established(locality));
}

static int on_hash_start(struct request *request, struct err *err)
{
        (void)err;
        if (request->engine->locked)
                return CONTROL_BAD_ORDINAL;
        return put_result(request, vtpm_hash_start());
}

static int on_hash_data(struct request *request, struct err *err)
{
        struct bytes data;
        uint32_t len;

        (void)err;
        if (reader_get_be32(&request->body, &len) != 0 ||
            reader_get_bytes(&request->body, len, &data) != 0)
                return CONTROL_BAD_PARAMETER;
        return put_result(request, vtpm_hash_data(data));
}

static int on_hash_end(struct request *request, struct err *err)
{
        (void)err;
        return put_result(request, vtpm_hash_end());
}

/* Commands run one after the other in this one thread: there is none to cancel when we read. */
static int on_cancel(struct request *request, struct err *err)
{
        (void)err;
        return put_ok(request);
}

static int refuse(struct request *request, struct err *err)
{
        (void)request;
        (void)err;
        return CONTROL_DISABLED_CMD;
}

static void put_blob(struct request *request, struct bytes blob)
{
        writer_put_be32(request->answer, CONTROL_OK);
        writer_put_be32(request->answer, STATE_DECRYPTED);
        writer_put_be32(request->answer, (uint32_t)blob.len);
        writer_put_be32(request->answer, (uint32_t)blob.len);
        writer_put_bytes(request->answer, blob);
}

/*
 * The state belongs to the TCB. It never travels in QEMU's stream, where swtpm's is found in
 * clear, and QEMU cannot bring an old one back: what goes there is the token of bound.h, and for a
 * VM of the TCB's own not even that. QEMU asks for all three types one after the other; the token
 * stands for all of them.
 */
static int on_get_stateblob(struct request *request, struct err *err)
{
        struct engine *engine = request->engine;
        uint8_t token[ENGINE_TOKEN_SIZE];
        uint32_t type = 0;
        uint32_t result = 0;
        int rc;

        if (!engine->bound || !vtpm_is_loaded())
                return CONTROL_DISABLED_CMD;
        if (engine->life.state == ENGINE_PRIVATE)
                return CONTROL_BAD_ORDINAL;
        if (reader_skip(&request->body, 4) != 0 || reader_get_be32(&request->body, &type) != 0 ||
            type < ENGINE_BLOB_PERMANENT || type > ENGINE_BLOB_SAVESTATE)
                return CONTROL_BAD_PARAMETER;
        if (type != ENGINE_BLOB_PERMANENT) {
                put_blob(request, (struct bytes){NULL, 0});
                return 0;
        }
        rc = bound_save(engine, token, &result, err);
        if (rc != 0 || result != 0)
                return rc != 0 ? rc : (int)(result & INT32_MAX);
        put_blob(request, (struct bytes){token, sizeof(token)});
        return 0;
}

static int on_set_stateblob(struct request *request, struct err *err)
{
        struct bytes token = {NULL, 0};
        uint32_t type = 0;
        uint32_t result = 0;
        int rc;

        if (!request->engine->bound)
                return CONTROL_DISABLED_CMD;
        if (request->engine->life.state != ENGINE_OFF)
                return CONTROL_BAD_ORDINAL;
        if (reader_skip(&request->body, 4) != 0 || reader_get_be32(&request->body, &type) != 0 ||
            type != ENGINE_BLOB_PERMANENT || reader_skip(&request->body, 4) != 0)
                return CONTROL_BAD_PARAMETER;
        /* Longer ones are no token; their bytes are dropped, and the TCB hears of an empty one. */
        if (reader_get_bytes(&request->body, reader_left(&request->body), &token) != 0)
                return CONTROL_BAD_PARAMETER;
        rc = bound_restore(request->engine, token, &result, err);
        if (rc != 0 || result != 0)
                return rc != 0 ? rc : (int)(result & INT32_MAX);
        return put_ok(request);
}

static int on_get_config(struct request *request, struct err *err)
{
        (void)err;
        writer_put_be32(request->answer, CONTROL_OK);
        writer_put_be32(request->answer, 0); /* no keys for files that we do not have */
        return 0;
}

static bool is_unix_stream(int fd)
{
        int domain = 0;
        int type = 0;
        socklen_t size = sizeof(int);

        return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX &&
               getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

static int on_set_datafd(struct request *request, struct err *err)
{
        struct engine *engine = request->engine;
        int AUTO_FD fd = TAKE_FD(engine->passed_fd);

        (void)err;
        if (fd < 0 || !is_unix_stream(fd))
                return CONTROL_BAD_PARAMETER;
        if (engine->data.fd >= 0)
                return CONTROL_IOERROR;
        stream_init(&engine->data, TAKE_FD(fd));
        return put_ok(request);
}

static int on_set_buffer_size(struct request *request, struct err *err)
{
        uint32_t wanted;
        uint32_t size;
        uint32_t min = 0;
        uint32_t max = 0;

        (void)err;
        if (reader_get_be32(&request->body, &wanted) != 0)
                return CONTROL_BAD_PARAMETER;
        if (wanted != 0 && request->engine->life.state == ENGINE_RUNNING)
                return CONTROL_BAD_ORDINAL;
        size = vtpm_set_buffer_size(wanted, &min, &max);
        writer_put_be32(request->answer, CONTROL_OK);
        writer_put_be32(request->answer, size);
        writer_put_be32(request->answer, min);
        writer_put_be32(request->answer, max);
        return 0;
}

static int on_get_info(struct request *request, struct err *err)
{
        char AUTO_FREE *info = NULL;
        uint64_t flags = 0;
        uint32_t offset = 0;
        size_t total;
        size_t len;

        (void)err;
        if (reader_get_be64(&request->body, &flags) != 0 ||
            reader_get_be32(&request->body, &offset) != 0)
                return CONTROL_BAD_PARAMETER;
        info = vtpm_info((uint32_t)(flags & 7));
        if (info == NULL)
                return CONTROL_FAIL;
        total = strlen(info) + 1;
        if (offset >= total)
                return CONTROL_BAD_PARAMETER;
        len = total - offset < INFO_CHUNK_MAX ? total - offset : INFO_CHUNK_MAX;
        writer_put_be32(request->answer, CONTROL_OK);
        writer_put_be32(request->answer, (uint32_t)total);
        writer_put_be32(request->answer, (uint32_t)len);
        writer_put(request->answer, info + offset, len);
        return 0;
}

/* There are no files to lock. */
static int on_lock_storage(struct request *request, struct err *err)
{
        (void)err;
        return put_ok(request);
}

static const struct control_row {
        uint32_t code;
        const char *name;
        size_t body_len;   /* of the fixed part */
        size_t length_at;  /* where in it the length of more bytes stands, or NO_LENGTH */
        size_t more_max;   /* the most that length may say */
        size_t keep_max;   /* more bytes than this are not even looked at */
        size_t answer_len; /* what QEMU waits for, also with an error */
        uint32_t states;   /* of enum engine_state */
        /*
         * Puts the whole answer (result first) and returns 0, or puts nothing and returns a
         * positive enum control_result; negative ends the engine.
         */
        int (*handle)(struct request *request, struct err *err);
} rows[] = {
    {1, "GET_CAPABILITY", 0, NO_LENGTH, 0, 0, 8, ANY_STATE, on_get_capability},
    {2, "INIT", 4, NO_LENGTH, 0, 0, 4, ANY_STATE, on_init},
    {3, "SHUTDOWN", 0, NO_LENGTH, 0, 0, 4, ANY_STATE, on_shutdown},
    {4, "GET_TPMESTABLISHED", 0, NO_LENGTH, 0, 0, 8, ON_FOR_GUEST, on_get_established},
    {5, "SET_LOCALITY", 4, NO_LENGTH, 0, 0, 4, ANY_STATE, on_set_locality},
    {6, "HASH_START", 0, NO_LENGTH, 0, 0, 4, ON_FOR_GUEST, on_hash_start},
    {7, "HASH_DATA", 4, 0, 4096, 4096, 4, ON_FOR_GUEST, on_hash_data},
    {8, "HASH_END", 0, NO_LENGTH, 0, 0, 4, ON_FOR_GUEST, on_hash_end},
    {9, "CANCEL_TPM_CMD", 0, NO_LENGTH, 0, 0, 4, ANY_STATE, on_cancel},
    {10, "STORE_VOLATILE", 0, NO_LENGTH, 0, 0, 4, ANY_STATE, refuse},
    {11, "RESET_TPMESTABLISHED", 4, NO_LENGTH, 0, 0, 4, ON_FOR_GUEST, on_reset_established},
    {12, "GET_STATEBLOB", 12, NO_LENGTH, 0, 0, 16, ANY_STATE, on_get_stateblob},
    {13, "SET_STATEBLOB", 12, 8, ENGINE_BLOB_MAX, ENGINE_TOKEN_SIZE, 4, ANY_STATE,
     on_set_stateblob},
    {14, "STOP", 0, NO_LENGTH, 0, 0, 4, ANY_STATE, on_stop},
    {15, "GET_CONFIG", 0, NO_LENGTH, 0, 0, 8, ANY_STATE, on_get_config},
    {16, "SET_DATAFD", 0, NO_LENGTH, 0, 0, 4, ANY_STATE, on_set_datafd},
    {17, "SET_BUFFERSIZE", 4, NO_LENGTH, 0, 0, 16, ANY_STATE, on_set_buffer_size},
    {18, "GET_INFO", 16, NO_LENGTH, 0, 0, 12, ANY_STATE, on_get_info},
    {19, "LOCK_STORAGE", 4, NO_LENGTH, 0, 0, 4, ANY_STATE, on_lock_storage},
};

static const struct control_row *find_row(uint32_t code)
{
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].code == code)
                        return &rows[i];
        return NULL;
}

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
static int dispatch(struct engine *engine, const struct control_row *row, struct reader body,
                    struct err *err)
{
        uint8_t space[ANSWER_MAX];
        struct writer answer;
        struct request request = {.engine = engine, .body = body, .answer = &answer};
        int rc = CONTROL_BAD_ORDINAL;

        writer_init_fixed(&answer, space, sizeof(space));
        engine->served = true;
        if ((row->states & SM_TO(engine->life.state)) != 0)
                rc = row->handle(&request, err);
        if (rc < 0)
                return err_wrap(err, "%s", row->name);
        if (rc > 0 || writer_check(&answer) != 0)
                put_error(&answer, row->answer_len, rc > 0 ? (uint32_t)rc : CONTROL_FAIL);
        return reply(engine, writer_bytes(&answer)) != 0 || request.close;
}

/* What the input starts with: a whole message, part of one, or nothing that can be one. */
enum arrival { PARTIAL, WHOLE, BROKEN };

struct message {
        const struct control_row *row;
        size_t size;  /* in the buffer: code and the body that the handler reads */
        size_t extra; /* bytes that follow and are dropped unread */
};

static enum arrival look(const struct stream *stream, struct message *ret)
{
        struct reader r = reader_from(stream->in, stream->in_len);
        struct message message = {0};
        struct reader body;
        uint32_t code;
        uint32_t more = 0;

        if (reader_get_be32(&r, &code) != 0)
                return PARTIAL;
        message.row = find_row(code);
        if (message.row == NULL)
                return BROKEN;
        if (reader_get_child(&r, message.row->body_len, &body) != 0)
                return PARTIAL;
        message.size = CODE_SIZE + message.row->body_len;
        if (message.row->length_at != NO_LENGTH &&
            (reader_skip(&body, message.row->length_at) != 0 ||
             reader_get_be32(&body, &more) != 0 || more > message.row->more_max))
                return BROKEN;
        if (more > message.row->keep_max)
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
        uint8_t space[CODE_SIZE];
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
        struct reader body = reader_from(stream->in + CODE_SIZE, message->size - CODE_SIZE);
        int rc = dispatch(engine, message->row, body, err);

        if (rc < 0)
                return rc;
        if (rc > 0)
                return control_hang_up(engine,
                                       message->row->handle == on_shutdown ? ENGINE_EVENT_SHUTDOWN
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
