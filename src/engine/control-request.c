#include "engine/control-request.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "engine/bound.h"
#include "engine/core.h"
#include "engine/vtpm.h"

#define CAPABILITIES     0xffffU /* all that QEMU 7.2 needs */
#define STATE_DECRYPTED  1U
#define INIT_FLAGS_KNOWN 1U /* delete the volatile state, which every INIT does */
#define ANY_STATE        (SM_TO(ENGINE_OFF) | SM_TO(ENGINE_PRIVATE) | SM_TO(ENGINE_RUNNING))
#define ON_FOR_GUEST     SM_TO(ENGINE_RUNNING)

static int put_ok(struct control_request *request)
{
        writer_put_be32(request->answer, CONTROL_OK);
        return 0;
}

/* libtpms' results are the protocol's. */
static int put_result(struct control_request *request, uint32_t result)
{
        writer_put_be32(request->answer, result);
        return 0;
}

static int on_get_capability(struct control_request *request, struct err *err)
{
        (void)err;
        writer_put_be32(request->answer, CONTROL_OK);
        writer_put_be32(request->answer, CAPABILITIES);
        return 0;
}

static int on_init(struct control_request *request, struct err *err)
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

static int on_stop(struct control_request *request, struct err *err)
{
        (void)err;
        engine_power_off(request->engine);
        return put_ok(request);
}

static int on_shutdown(struct control_request *request, struct err *err)
{
        (void)err;
        request->close = true;
        return put_ok(request);
}

static int on_get_established(struct control_request *request, struct err *err)
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
static int get_locality(struct control_request *request, uint8_t *ret)
{
        uint8_t locality;

        if (reader_get_u8(&request->body, &locality) != 0 || locality > VTPM_LOCALITY_MAX)
                return CONTROL_BAD_LOCALITY;
        *ret = locality;
        return 0;
}

static int on_set_locality(struct control_request *request, struct err *err)
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

static int on_reset_established(struct control_request *request, struct err *err)
{
        uint8_t locality;
        int rc = get_locality(request, &locality);

        (void)err;
        if (request->engine->locked)
                return CONTROL_BAD_ORDINAL;
        return rc != 0 ? rc : put_result(request, vtpm_reset_established(locality));
}

static int on_hash_start(struct control_request *request, struct err *err)
{
        (void)err;
        if (request->engine->locked)
                return CONTROL_BAD_ORDINAL;
        return put_result(request, vtpm_hash_start());
}

static int on_hash_data(struct control_request *request, struct err *err)
{
        struct bytes data;
        uint32_t len;

        (void)err;
        if (reader_get_be32(&request->body, &len) != 0 ||
            reader_get_bytes(&request->body, len, &data) != 0)
                return CONTROL_BAD_PARAMETER;
        return put_result(request, vtpm_hash_data(data));
}

static int on_hash_end(struct control_request *request, struct err *err)
{
        (void)err;
        return put_result(request, vtpm_hash_end());
}

/* Commands run one after the other in this one thread: there is none to cancel when we read. */
static int on_cancel(struct control_request *request, struct err *err)
{
        (void)err;
        return put_ok(request);
}

static int refuse(struct control_request *request, struct err *err)
{
        (void)request;
        (void)err;
        return CONTROL_DISABLED_CMD;
}

static void put_blob(struct control_request *request, struct bytes blob)
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
static int on_get_stateblob(struct control_request *request, struct err *err)
{
        struct engine *engine = request->engine;
        uint8_t token[ENGINE_TOKEN_SIZE];
        uint32_t type = 0;
        uint32_t offset = 0;
        uint32_t result = 0;
        int rc;

        if (!engine->bound || !vtpm_is_loaded())
                return CONTROL_DISABLED_CMD;
        if (engine->life.state == ENGINE_PRIVATE)
                return CONTROL_BAD_ORDINAL;
        /* A token is sent whole. One that asks for the rest of it must not get another, new one. */
        if (reader_skip(&request->body, 4) != 0 || reader_get_be32(&request->body, &type) != 0 ||
            reader_get_be32(&request->body, &offset) != 0 || type < ENGINE_BLOB_PERMANENT ||
            type > ENGINE_BLOB_SAVESTATE || offset != 0)
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

static int on_set_stateblob(struct control_request *request, struct err *err)
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

static int on_get_config(struct control_request *request, struct err *err)
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

static int on_set_datafd(struct control_request *request, struct err *err)
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

static int on_set_buffer_size(struct control_request *request, struct err *err)
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

static int on_get_info(struct control_request *request, struct err *err)
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
        len = total - offset < CONTROL_INFO_MAX ? total - offset : CONTROL_INFO_MAX;
        writer_put_be32(request->answer, CONTROL_OK);
        writer_put_be32(request->answer, (uint32_t)total);
        writer_put_be32(request->answer, (uint32_t)len);
        writer_put(request->answer, info + offset, len);
        return 0;
}

/* There are no files to lock. */
static int on_lock_storage(struct control_request *request, struct err *err)
{
        (void)err;
        return put_ok(request);
}

static const struct control_row rows[CONTROL_CODE_END] = {
    [CONTROL_GET_CAPABILITY] = {0, ANY_STATE, on_get_capability},
    [CONTROL_INIT] = {0, ANY_STATE, on_init},
    [CONTROL_SHUTDOWN] = {0, ANY_STATE, on_shutdown},
    [CONTROL_GET_ESTABLISHED] = {0, ON_FOR_GUEST, on_get_established},
    [CONTROL_SET_LOCALITY] = {0, ANY_STATE, on_set_locality},
    [CONTROL_HASH_START] = {0, ON_FOR_GUEST, on_hash_start},
    [CONTROL_HASH_DATA] = {CONTROL_HASH_MAX, ON_FOR_GUEST, on_hash_data},
    [CONTROL_HASH_END] = {0, ON_FOR_GUEST, on_hash_end},
    [CONTROL_CANCEL] = {0, ANY_STATE, on_cancel},
    [CONTROL_STORE_VOLATILE] = {0, ANY_STATE, refuse},
    [CONTROL_RESET_ESTABLISHED] = {0, ON_FOR_GUEST, on_reset_established},
    [CONTROL_GET_STATEBLOB] = {0, ANY_STATE, on_get_stateblob},
    [CONTROL_SET_STATEBLOB] = {ENGINE_TOKEN_SIZE, ANY_STATE, on_set_stateblob},
    [CONTROL_STOP] = {0, ANY_STATE, on_stop},
    [CONTROL_GET_CONFIG] = {0, ANY_STATE, on_get_config},
    [CONTROL_SET_DATAFD] = {0, ANY_STATE, on_set_datafd},
    [CONTROL_SET_BUFFERSIZE] = {0, ANY_STATE, on_set_buffer_size},
    [CONTROL_GET_INFO] = {0, ANY_STATE, on_get_info},
    [CONTROL_LOCK_STORAGE] = {0, ANY_STATE, on_lock_storage},
};

const struct control_row *control_row(uint32_t code)
{
        return control_shape(code) != NULL ? &rows[code] : NULL;
}
