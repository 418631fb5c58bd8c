#include "engine/core.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/park.h"
#include "engine/vtpm.h"

#define START_FLAGS_KNOWN ((uint32_t)ENGINE_START_BOUND | ENGINE_START_EMPTY | ENGINE_START_DRAFT)

static int protocol_error(const char *words, struct err *err)
{
        return err_set(err, ERR_MALFORMED, "core channel: %s", words);
}

static int send_frame(struct engine *engine, uint16_t code, uint32_t id, const void *message,
                      struct err *err)
{
        return engine->core == NULL ? 0
                                    : wire_link_send(engine->core, code, id, 0, message, NULL, err);
}

int core_send_event(struct engine *engine, enum engine_event_kind kind, struct err *err)
{
        const struct engine_event event = {.kind = (uint8_t)kind, .init_count = engine->init_count};

        engine->last_event = event.kind;
        return send_frame(engine, engine_event_code, 0, &event, err);
}

void core_send_failed(struct engine *engine, const struct err *failure)
{
        struct engine_failed failed = {.code = (uint16_t)err_to_wire(failure->code),
                                       .text = wire_text(failure->text)};
        struct err err = {0};

        if (failed.text.len > 400)
                failed.text.len = 400;
        /* When not even this goes, the end of the process says it. */
        if (send_frame(engine, engine_failed_code, 0, &failed, &err) != 0)
                log_error(&(struct log_fields){.err = failure}, "cannot tell the TCB");
}

int core_send_busy(struct engine *engine, struct err *err)
{
        const struct engine_busy busy = {0};

        return send_frame(engine, engine_busy_code, 0, &busy, err);
}

/* ---- another TCB ---- */

/* What the one before asked is nobody's any more. */
static int on_adopt(struct engine *engine, struct wire_frame *frame, struct err *err)
{
        struct engine_adopt adopt;
        struct engine_adopted adopted = {.ready = engine->ready,
                                         .event = engine->last_event,
                                         .init_count = engine->init_count,
                                         .libtpms = wire_text(vtpm_library_version()),
                                         .sandbox = wire_text(engine->sandbox_words)};
        int rc = wire_frame_decode(frame, &adopt, sizeof(adopt), err);

        if (rc != 0)
                return rc;
        if (engine->life.state == ENGINE_WAITING)
                return protocol_error("adopted before it has a TPM", err);
        engine->adoptions++;
        engine->queue_len = 0;
        adopted.nonce = adopt.nonce;
        return send_frame(engine, engine_adopted_code, 0, &adopted, err);
}

/* ---- persisting ---- */

static int queue_command(struct engine *engine, const struct wire_frame *frame, struct err *err)
{
        struct engine_queued *queued = &engine->queue[engine->queue_len];
        struct engine_command command;
        int rc = wire_frame_decode(frame, &command, sizeof(command), err);

        if (rc != 0)
                return rc;
        if (engine->queue_len == ENGINE_QUEUE_MAX)
                return protocol_error("too many commands at once", err);
        queued->id = frame->id;
        queued->len = command.command.len;
        if (queued->len > 0)
                memcpy(queued->command, command.command.data, queued->len);
        engine->queue_len++;
        return 0;
}

/* What the engine waits for, and what it asked with, which another TCB is asked once more. */
struct wait {
        uint16_t code;
        uint16_t asked; /* 0: nothing */
        const void *question;
};

static int ask_again(struct engine *engine, const struct wait *wait, struct wire_frame *frame,
                     bool *ret_done, struct err *err)
{
        int rc = on_adopt(engine, frame, err);

        if (rc != 0)
                return rc;
        /* Parked at the TCB before, at this one it never was; nor will this one say unasked that
         * the state is used up. */
        *ret_done = wait->code == engine_unpark_code || wait->code == engine_used_up_code;
        return *ret_done || wait->asked == 0
                   ? 0
                   : send_frame(engine, wait->asked, 0, wait->question, err);
}

/* One frame while the engine waits for this one; the TCB's commands queue up behind it. */
static int await_frame(struct engine *engine, const struct wait *wait, struct wire_frame *ret_frame,
                       bool *ret_done, struct err *err)
{
        const uint16_t code = wait->code;
        int rc = wire_link_receive(engine->core, ret_frame, err);

        if (rc != 0)
                return rc;
        if (ret_frame->message->code == engine_adopt_code)
                return ask_again(engine, wait, ret_frame, ret_done, err);
        if (ret_frame->message->code == engine_command_code)
                return queue_command(engine, ret_frame, err);
        if (ret_frame->message->code == engine_stop_code)
                return err_set(err, ERR_INTERRUPTED, "stopped");
        /* Another TCB was asked and answered before this came. */
        if (ret_frame->message->code == engine_used_up_code && code != engine_used_up_code)
                return 0;
        /* The TCB asked before it knew that the engine is not idle. */
        if (ret_frame->message->code == engine_park_code && code != engine_unpark_code)
                return core_send_busy(engine, err);
        if (ret_frame->message->code != code)
                return protocol_error("unexpected message while the engine waits", err);
        *ret_done = true;
        return 0;
}

/* 0 when the blob that was sent last is durable. */
static int await_persisted(struct engine *engine, const struct engine_persist *persist,
                           struct err *err)
{
        const struct wait wait = {engine_persisted_code, engine_persist_code, persist};
        struct wire_frame frame;
        struct engine_persisted persisted;
        bool done = false;
        int rc = 0;

        (void)busy_wait_answer(&engine->answers, wire_link_fd(engine->core));
        while (rc == 0 && !done)
                rc = await_frame(engine, &wait, &frame, &done, err);
        if (rc == 0)
                rc = wire_frame_decode(&frame, &persisted, sizeof(persisted), err);
        if (rc == 0 && persisted.sequence != engine->sequence)
                rc = protocol_error("acknowledgement of another blob", err);
        return rc;
}

/* The TCB said stop or went away, and the guest's command must not be answered. */
static _Noreturn void end_unanswered(int rc, const struct err *err)
{
        if (rc != ERR_INTERRUPTED && rc != ERR_UNREACHABLE)
                log_error(&(struct log_fields){.err = err}, "state could not be handed over");
        _exit(rc == ERR_INTERRUPTED ? EXIT_SUCCESS : EXIT_FAILURE);
}

void core_persist(void *context, enum engine_blob_kind kind, struct bytes blob)
{
        struct engine *engine = context;
        const struct engine_persist persist = {
            .sequence = ++engine->sequence, .kind = (uint8_t)kind, .blob = blob};
        struct err err = {0};
        int rc = send_frame(engine, engine_persist_code, 0, &persist, &err);

        if (rc == 0 && engine->core != NULL && !engine->draft)
                rc = await_persisted(engine, &persist, &err);
        if (rc != 0)
                end_unanswered(rc, &err);
}

void core_use_up(struct engine *engine)
{
        const struct wait wait = {.code = engine_used_up_code};
        const uint32_t adoptions = engine->adoptions;
        struct wire_frame frame;
        struct err err = {0};
        bool done = engine->core == NULL;
        int rc = 0;

        if (!done)
                (void)busy_wait_answer(&engine->answers, wire_link_fd(engine->core));
        while (rc == 0 && !done)
                rc = await_frame(engine, &wait, &frame, &done, &err);
        if (rc != 0)
                end_unanswered(rc, &err);
        if (engine->adoptions != adoptions)
                core_persist(engine, ENGINE_BLOB_VOLATILE, (struct bytes){NULL, 0});
}

/* Without a TCB everything is granted but a restore: there is nobody who kept a state. */
static void decide_detached(uint16_t code, struct engine_decided *ret_decided)
{
        static const uint8_t token[ENGINE_TOKEN_SIZE];

        *ret_decided = (struct engine_decided){.result = code == engine_restore_code ? 1 : 0,
                                               .token = {token, sizeof(token)}};
}

int core_ask(struct engine *engine, uint16_t code, const void *question,
             struct engine_decided *ret_decided, struct err *err)
{
        const struct wait wait = {engine_decided_code, code, question};
        struct wire_frame frame;
        bool done = false;
        int rc;

        if (engine->core == NULL) {
                decide_detached(code, ret_decided);
                return 0;
        }
        rc = send_frame(engine, code, 0, question, err);
        while (rc == 0 && !done)
                rc = await_frame(engine, &wait, &frame, &done, err);
        return rc != 0 ? rc : wire_frame_decode(&frame, ret_decided, sizeof(*ret_decided), err);
}

int core_park(struct engine *engine, const struct engine_parked *parked, const int fds[2],
              struct err *err)
{
        const struct wait wait = {.code = engine_unpark_code};
        struct wire_frame frame;
        bool done = engine->core == NULL;
        int rc = 0;

        if (engine->core != NULL)
                rc = wire_link_send(engine->core, engine_parked_code, 0, 0, parked, fds, err);
        while (rc == 0 && !done)
                rc = await_frame(engine, &wait, &frame, &done, err);
        if (rc != ERR_INTERRUPTED)
                return rc;
        engine->stopping = true;
        return 0;
}

/* ---- the TCB's messages ---- */

static int send_ready(struct engine *engine, struct err *err)
{
        const struct engine_ready ready = {.version = wire_text(CATENA_VERSION),
                                           .libtpms = wire_text(vtpm_library_version()),
                                           .sandbox = wire_text(engine->sandbox_words)};

        engine->ready = true;
        return send_frame(engine, engine_ready_code, 0, &ready, err);
}

static int on_start(struct engine *engine, struct wire_frame *frame, struct err *err)
{
        struct engine_start start;
        int rc = wire_frame_decode(frame, &start, sizeof(start), err);

        if (rc != 0)
                return rc;
        if (engine->life.state != ENGINE_WAITING || (start.flags & ~START_FLAGS_KNOWN) != 0)
                return protocol_error("second start, or unknown flags", err);
        /* Manufacture waits for PERSISTED, which takes the frame's buffer: copy what is needed. */
        if (start.seed.len != 0 && start.seed.len != ENGINE_SEED_SIZE)
                return protocol_error("seed of a wrong size", err);
        engine->bound = (start.flags & ENGINE_START_BOUND) != 0;
        engine->draft = (start.flags & ENGINE_START_DRAFT) != 0;
        if (engine->draft && start.flags != ENGINE_START_DRAFT)
                return protocol_error("a draft and more", err);
        if (engine->draft)
                stream_close(&engine->control);
        if ((start.flags & ENGINE_START_EMPTY) == 0)
                rc = vtpm_load(&(struct vtpm_setup){.permanent = start.permanent,
                                                    .volatile_state = start.volatile_state,
                                                    .seed = start.seed,
                                                    .persist = core_persist,
                                                    .context = engine},
                               err);
        else if (!engine->bound || start.permanent.len != 0)
                return protocol_error("empty and not empty", err);
        if (rc != 0)
                return err_wrap(err, "start");
        sm_move(&engine->life, ENGINE_OFF);
        return send_ready(engine, err);
}

static int on_wake(struct engine *engine, struct wire_frame *frame, struct err *err)
{
        int rc = park_wake(engine, frame, err);

        return rc != 0 ? rc : send_ready(engine, err);
}

static int on_park(struct engine *engine, struct wire_frame *frame, struct err *err)
{
        return park_engine(engine, frame, err);
}

static bool is_whole(struct bytes command, uint32_t *ret_code)
{
        struct reader r = reader_from_bytes(command);
        uint16_t tag;
        uint32_t size;
        uint32_t code;

        if (reader_get_be16(&r, &tag) != 0 || reader_get_be32(&r, &size) != 0 ||
            reader_get_be32(&r, &code) != 0 || size != command.len)
                return false;
        *ret_code = code;
        return true;
}

/* engine.h says how these live beside the guest's. */
static int run_command(struct engine *engine, struct bytes command, struct bytes *ret_response,
                       struct err *err)
{
        uint32_t code = 0;
        int rc = 0;

        if (!is_whole(command, &code)) {
                *ret_response = vtpm_error_response(VTPM_RC_COMMAND_SIZE);
                return 0;
        }
        if (engine->life.state == ENGINE_RUNNING && code == VTPM_CC_STARTUP) {
                *ret_response = vtpm_error_response(VTPM_RC_INITIALIZE);
                return 0;
        }
        if (engine->life.state == ENGINE_OFF)
                rc = engine_power_on(engine, ENGINE_PRIVATE, err);
        if (rc != 0)
                return rc;
        vtpm_set_locality(0);
        *ret_response = vtpm_process(command);
        vtpm_set_locality(engine->locality);
        return 0;
}

static int answer_command(struct engine *engine, uint32_t id, struct bytes command, struct err *err)
{
        const uint32_t adoptions = engine->adoptions;
        struct engine_response response;
        int rc;

        if (engine->life.state == ENGINE_WAITING || !vtpm_is_loaded())
                return protocol_error("command before start", err);
        rc = run_command(engine, command, &response.response, err);
        /* Whoever asked may be gone by now, and its successor did not ask. */
        if (rc != 0 || engine->adoptions != adoptions)
                return rc;
        return send_frame(engine, engine_response_code, id, &response, err);
}

static int on_command(struct engine *engine, struct wire_frame *frame, struct err *err)
{
        int rc = queue_command(engine, frame, err);

        /* Through the queue, since the command may itself have to wait for a PERSISTED. */
        return rc != 0 ? rc : core_run_queued(engine, err);
}

int core_run_queued(struct engine *engine, struct err *err)
{
        int rc = 0;

        while (rc == 0 && engine->queue_len > 0) {
                struct engine_queued first = engine->queue[0];

                engine->queue_len--;
                memmove(engine->queue, engine->queue + 1,
                        engine->queue_len * sizeof(engine->queue[0]));
                rc =
                    answer_command(engine, first.id, (struct bytes){first.command, first.len}, err);
                explicit_bzero(&first, sizeof(first));
        }
        return rc;
}

static int on_persisted(struct engine *engine, struct wire_frame *frame, struct err *err)
{
        (void)engine;
        (void)frame;
        return protocol_error("acknowledgement of nothing", err);
}

/* The engine had asked another TCB for it, and was answered. */
static int on_used_up(struct engine *engine, struct wire_frame *frame, struct err *err)
{
        (void)engine;
        (void)frame;
        (void)err;
        return 0;
}

static int on_attach(struct engine *engine, struct wire_frame *frame, struct err *err)
{
        return engine_attach(engine, TAKE_FD(frame->fds[0]), err);
}

static int on_stop(struct engine *engine, struct wire_frame *frame, struct err *err)
{
        (void)frame;
        (void)err;
        engine->stopping = true;
        return 0;
}

static const struct {
        uint16_t code;
        int (*handle)(struct engine *engine, struct wire_frame *frame, struct err *err);
} handlers[] = {
    {engine_start_code, on_start},     {engine_persisted_code, on_persisted},
    {engine_command_code, on_command}, {engine_stop_code, on_stop},
    {engine_wake_code, on_wake},       {engine_park_code, on_park},
    {engine_adopt_code, on_adopt},     {engine_attach_code, on_attach},
    {engine_used_up_code, on_used_up},
};

int core_receive(struct engine *engine, struct err *err)
{
        struct wire_frame frame;
        int rc = wire_link_receive(engine->core, &frame, err);

        if (rc == WIRE_AGAIN)
                return 0;
        if (rc != 0)
                return rc;
        for (size_t i = 0; i < ARRAY_SIZE(handlers); i++)
                if (handlers[i].code == frame.message->code) {
                        rc = handlers[i].handle(engine, &frame, err);
                        /* A state that was loaded needs no second place. */
                        if (frame.payload.len > ENGINE_COMMAND_MAX)
                                wire_link_rest(engine->core);
                        return rc;
                }
        return protocol_error("unexpected message", err);
}
