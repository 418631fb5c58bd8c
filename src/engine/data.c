#include "engine/data.h"

#include "engine/bound.h"
#include "engine/core.h"
#include "engine/vtpm.h"

struct header {
        uint32_t size;
        uint32_t code;
};

/* What the first bytes of the input are. */
enum arrival { PARTIAL, WHOLE, BROKEN };

static enum arrival look(const struct stream *stream, struct header *ret)
{
        struct reader r = reader_from(stream->in, stream->in_len);
        struct header header = {0};
        uint16_t tag;

        if (reader_get_be16(&r, &tag) != 0 || reader_get_be32(&r, &header.size) != 0)
                return PARTIAL;
        if (header.size < VTPM_HEADER_SIZE || header.size > ENGINE_COMMAND_MAX)
                return BROKEN;
        if (stream->in_len < header.size || reader_get_be32(&r, &header.code) != 0)
                return PARTIAL;
        *ret = header;
        return WHOLE;
}

static uint32_t response_code(struct bytes response)
{
        struct reader r = reader_from_bytes(response);
        uint32_t code = VTPM_RC_FAILURE;

        if (reader_skip(&r, 6) != 0 || reader_get_be32(&r, &code) != 0)
                return VTPM_RC_FAILURE;
        return code;
}

/* The TCB hears of the first start of each life: only from then on PCRs mean anything. */
static int note_startup(struct engine *engine, struct bytes response, struct err *err)
{
        if (engine->startup_seen || response_code(response) != 0)
                return 0;
        engine->startup_seen = true;
        return core_send_event(engine, ENGINE_EVENT_STARTUP, err);
}

static int run_one(struct engine *engine, const struct header *header, struct err *err)
{
        const struct bytes command = {engine->data.in, header->size};
        struct bytes response;
        bool on = engine->life.state == ENGINE_RUNNING;
        int rc = 0;

        engine->served = true;
        if (on && engine->locked)
                rc = bound_unlock(engine, &on, err);
        if (rc != 0)
                return rc;
        /* QEMU asks for the clock before INIT and wants just this answer (PLATFORM, QEMU). */
        if (!on) {
                response = vtpm_error_response(VTPM_RC_FAILURE);
        } else {
                response = vtpm_process(command);
                if (header->code == VTPM_CC_STARTUP)
                        rc = note_startup(engine, response, err);
        }
        stream_consume(&engine->data, header->size);
        engine->answered = true;
        if (rc == 0 && stream_send(&engine->data, response) != 0)
                stream_close(&engine->data);
        return rc;
}

int data_run(struct engine *engine, struct err *err)
{
        struct stream *stream = &engine->data;
        struct header header;
        int rc = 0;

        while (rc == 0 && stream->in_len > 0 && !stream_has_output(stream)) {
                switch (look(stream, &header)) {
                case PARTIAL:
                        return 0;
                case WHOLE:
                        rc = run_one(engine, &header, err);
                        break;
                case BROKEN:
                        if (data_abandon(engine) != 0)
                                stream_close(stream);
                        break;
                }
        }
        return rc;
}

int data_abandon(struct engine *engine)
{
        stream_consume(&engine->data, engine->data.in_len);
        return stream_send(&engine->data, vtpm_error_response(VTPM_RC_COMMAND_SIZE));
}
