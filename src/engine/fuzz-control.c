/*
 * QEMU's and the guest's bytes (G-GUEST) through the real dispatchers, with libtpms behind them.
 * The input is a list of {channel, be16 length, bytes}; channel 3 is one command of the TCB's, and
 * channels with bit 7 set say that the engine is bound. Each run starts from the same manufactured
 * TPM, switched off; a detached bound engine is granted everything and gets no state for a token.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/control.h"
#include "engine/core.h"
#include "engine/data.h"
#include "engine/vtpm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CHANNEL_CONTROL, CHANNEL_CONTROL_WITH_FD, CHANNEL_DATA, CHANNEL_CORE, CHANNELS };

static uint8_t fresh[ENGINE_BLOB_MAX];
static size_t fresh_len;

static void keep_first(void *context, enum engine_blob_kind kind, struct bytes blob)
{
        (void)context;
        if (kind == ENGINE_BLOB_PERMANENT && blob.len <= sizeof(fresh)) {
                memcpy(fresh, blob.data, blob.len);
                fresh_len = blob.len;
        }
}

static void must(int rc)
{
        if (rc != 0)
                abort();
}

/* A socket whose other end is gone: what QEMU passes may be of any kind. */
static int make_orphan(struct err *err)
{
        int pair[2];

        must(fd_socketpair(SOCK_STREAM, pair, err));
        (void)close(pair[1]);
        return pair[0];
}

static void feed(struct stream *stream, struct bytes bytes)
{
        size_t room = STREAM_BUFFER_MAX - stream->in_len;
        size_t n = bytes.len < room ? bytes.len : room;

        if (n > 0)
                memcpy(stream->in + stream->in_len, bytes.data, n);
        stream->in_len += n;
}

static void feed_core(struct engine *engine, struct bytes bytes)
{
        struct engine_queued *queued = &engine->queue[0];

        if (bytes.len > sizeof(queued->command))
                return;
        if (bytes.len > 0)
                memcpy(queued->command, bytes.data, bytes.len);
        queued->len = bytes.len;
        engine->queue_len = 1;
}

static int step(struct engine *engine, unsigned channel, struct bytes bytes, struct err *err)
{
        switch (channel) {
        case CHANNEL_CONTROL_WITH_FD:
                fd_close(&engine->passed_fd);
                engine->passed_fd = make_orphan(err);
                feed(&engine->control, bytes);
                return control_run(engine, err);
        case CHANNEL_CONTROL:
                feed(&engine->control, bytes);
                return control_run(engine, err);
        case CHANNEL_DATA:
                feed(&engine->data, bytes);
                return data_run(engine, err);
        default:
                feed_core(engine, bytes);
                return core_run_queued(engine, err);
        }
}

static struct engine *start(struct err *err)
{
        struct engine *engine = NULL;
        struct vtpm_setup setup = {.persist = core_persist};

        if (fresh_len == 0)
                must(vtpm_load(&(struct vtpm_setup){.persist = keep_first}, err));
        must(engine_new_detached(&engine, err));
        setup.context = engine;
        setup.permanent = (struct bytes){fresh, fresh_len};
        must(vtpm_load(&setup, err));
        sm_move(&engine->life, ENGINE_OFF);
        return engine;
}

/* Answers are read as fast as they come. */
static void drain(const int *peers, size_t n)
{
        char sink[8192];

        for (size_t i = 0; i < n; i++)
                while (recv(peers[i], sink, sizeof(sink), MSG_DONTWAIT) > 0)
                        continue;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct reader r = reader_from(data, size);
        struct err err = {0};
        struct engine AUTO_ENGINE *engine = start(&err);
        int control[2];
        int pair[2];
        int peers[2];
        uint8_t channel;
        uint16_t len;
        int rc = 0;

        must(fd_socketpair(SOCK_STREAM, control, &err));
        must(fd_socketpair(SOCK_STREAM, pair, &err));
        engine->control.fd = control[0];
        engine->data.fd = pair[0];
        peers[0] = control[1];
        peers[1] = pair[1];
        while (rc == 0 && reader_get_u8(&r, &channel) == 0 && reader_get_be16(&r, &len) == 0) {
                struct bytes bytes;
                size_t n = len < reader_left(&r) ? len : reader_left(&r);

                must(reader_get_bytes(&r, n, &bytes));
                engine->bound = engine->bound || (channel & 0x80) != 0;
                channel &= 0x7f;
                rc = step(engine, channel % CHANNELS, bytes, &err);
                drain(peers, 2);
                if (engine->control.fd < 0)
                        break;
        }
        /* Nothing that comes from QEMU or the guest may end the engine. */
        must(rc);
        (void)close(peers[0]);
        (void)close(peers[1]);
        return 0;
}
