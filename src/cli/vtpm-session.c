#include "cli/vtpm-session.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/writer.h"
#include "cli/power-on.h"
#include "tpmwire/command.h"

#define HEADER_SIZE   10
#define CC_GET_CAP    0x17a
#define CAP_HANDLES   1
#define FIRST_OBJECT  0x80000000U
#define OBJECTS_MAX   64
#define RC_INITIALIZE 0x100
#define IDLE_TRIES    400
#define IDLE_GAP_MSEC 5

int vtpm_frame_size(struct bytes bytes, size_t *ret_size, struct err *err)
{
        struct reader r = reader_from_bytes(bytes);
        uint16_t tag;
        uint32_t size;

        *ret_size = 0;
        if (reader_get_be16(&r, &tag) != 0 || reader_get_be32(&r, &size) != 0)
                return 0;
        if (size < HEADER_SIZE || size > VTPM_COMMAND_MAX)
                return err_set(err, ERR_MALFORMED, "a TPM command of %u bytes", size);
        *ret_size = size;
        return 0;
}

int vtpm_session_run(struct vtpm_session *session, struct bytes command, uint8_t *ret_response,
                     size_t *ret_len, struct err *err)
{
        size_t size = 0;
        int rc = fd_write_all(session->data, command.data, command.len, err);

        if (rc == 0)
                rc = fd_read_exact(session->data, ret_response, HEADER_SIZE, err);
        if (rc == 0)
                rc = vtpm_frame_size((struct bytes){ret_response, HEADER_SIZE}, &size, err);
        if (rc == 0 && size > HEADER_SIZE)
                rc = fd_read_exact(session->data, ret_response + HEADER_SIZE, size - HEADER_SIZE,
                                   err);
        if (rc != 0)
                return err_wrap(err, "vTPM %s", session->name);
        *ret_len = size;
        return 0;
}

/* One of our own commands; its response code. */
static int run_own(struct vtpm_session *session, const struct writer *w, uint8_t *ret_response,
                   size_t *ret_len, uint32_t *ret_code, struct err *err)
{
        int rc = writer_check(w) != 0
                     ? err_set(err, ERR_LIMIT, "command too long")
                     : vtpm_session_run(session, writer_bytes(w), ret_response, ret_len, err);

        return rc != 0 ? rc : response_code((struct bytes){ret_response, *ret_len}, ret_code, err);
}

static int run_plain(struct vtpm_session *session, void (*put)(struct writer *w),
                     uint32_t *ret_code, struct err *err)
{
        uint8_t response[VTPM_COMMAND_MAX];
        uint8_t memory[64];
        struct writer w;
        size_t len;

        writer_init_fixed(&w, memory, sizeof(memory));
        put(&w);
        return run_own(session, &w, response, &len, ret_code, err);
}

/* QEMU's part ------------------------------------------------------------------------------- */

static int start_up(struct vtpm_session *session, struct err *err)
{
        uint32_t code = 0;
        int rc = power_on(session->control, &session->data, err);

        if (rc == 0)
                rc = run_plain(session, command_put_startup, &code, err);
        if (rc == 0 && code != 0 && code != RC_INITIALIZE)
                rc = err_set(err, ERR_TPM, "TPM2_Startup: response code 0x%x", code);
        return rc;
}

static int take_control(struct vtpm_session *session, struct err *err)
{
        const struct tcb_vtpm_open open = {.name = wire_text(session->name)};
        struct wire_frame frame;
        int rc = client_send(session->client, tcb_vtpm_open_code, &open, err);

        if (rc == 0)
                rc = client_next(session->client, &frame, err);
        if (rc != 0)
                return rc;
        if (frame.message->code == tcb_vtpm_opened_code)
                session->control = TAKE_FD(frame.fds[0]);
        wire_frame_close_fds(&frame);
        return session->control < 0 ? err_set(err, ERR_MALFORMED, "no control socket") : 0;
}

int vtpm_session_open(struct cli *cli, const char *name, struct vtpm_session *ret_session,
                      struct err *err)
{
        struct vtpm_session session = {.control = -1, .data = -1};
        int rc;

        if (strlen(name) >= sizeof(session.name))
                return err_set(err, ERR_USAGE, "a name has at most %d characters", TCB_NAME_MAX);
        memcpy(session.name, name, strlen(name));
        rc = client_open(cli, &session.client, err);
        if (rc == 0)
                rc = take_control(&session, err);
        if (rc == 0)
                rc = start_up(&session, err);
        if (rc != 0) {
                vtpm_session_close(&session);
                return rc;
        }
        *ret_session = session;
        return 0;
}

/* Leaving it -------------------------------------------------------------------------------- */

static int list_objects(struct vtpm_session *session, uint32_t ret_handles[OBJECTS_MAX],
                        uint32_t *ret_n, struct err *err)
{
        uint8_t response[VTPM_COMMAND_MAX];
        uint8_t memory[32];
        struct reader r;
        struct writer w;
        size_t len = 0;
        uint32_t code = 0;
        uint32_t n = 0;
        int rc;

        writer_init_fixed(&w, memory, sizeof(memory));
        writer_put_be16(&w, 0x8001);
        writer_put_be32(&w, 22);
        writer_put_be32(&w, CC_GET_CAP);
        writer_put_be32(&w, CAP_HANDLES);
        writer_put_be32(&w, FIRST_OBJECT);
        writer_put_be32(&w, OBJECTS_MAX);
        rc = run_own(session, &w, response, &len, &code, err);
        if (rc != 0)
                return rc;
        r = reader_from(response, len);
        /* Header, moreData, capability, count (TPM 2.0 Part 2, 10.10.1). */
        if (code != 0 || reader_skip(&r, HEADER_SIZE + 1 + 4) != 0 ||
            reader_get_be32(&r, &n) != 0 || n > OBJECTS_MAX)
                return err_set(err, ERR_TPM, "list of loaded objects: response code 0x%x", code);
        for (uint32_t i = 0; i < n; i++)
                if (reader_get_be32(&r, &ret_handles[i]) != 0)
                        return err_set(err, ERR_MALFORMED, "list of loaded objects");
        *ret_n = n;
        return 0;
}

int vtpm_session_flush_objects(struct vtpm_session *session, struct err *err)
{
        uint8_t response[VTPM_COMMAND_MAX];
        uint32_t handles[OBJECTS_MAX];
        uint32_t n = 0;
        int rc = list_objects(session, handles, &n, err);

        for (uint32_t i = 0; rc == 0 && i < n; i++) {
                uint8_t memory[32];
                struct writer w;
                size_t len;
                uint32_t code;

                writer_init_fixed(&w, memory, sizeof(memory));
                command_put_flush(&w, handles[i]);
                rc = run_own(session, &w, response, &len, &code, err);
        }
        return rc;
}

/* The host takes a moment; whoever comes right after us shall not find the vTPM taken. */
static void await_idle(struct vtpm_session *session)
{
        const struct tcb_vtpm_show show = {.name = wire_text(session->name)};
        struct err err = {0};

        for (int i = 0; i < IDLE_TRIES; i++) {
                struct tcb_vtpm vtpm;

                if (client_call(session->client, tcb_vtpm_show_code, &show, tcb_vtpm_code, &vtpm,
                                sizeof(vtpm), &err) != 0 ||
                    !bytes_equal(vtpm.state, wire_text("live")))
                        return;
                (void)poll(NULL, 0, IDLE_GAP_MSEC);
        }
}

void vtpm_session_close(struct vtpm_session *session)
{
        bool was_open = session->control >= 0;
        struct err err = {0};
        uint32_t code;

        /* When the engine is gone there is nothing to shut down. */
        if (session->data >= 0)
                (void)!run_plain(session, command_put_shutdown, &code, &err);
        fd_close(&session->data);
        fd_close(&session->control);
        if (was_open)
                await_idle(session);
        client_close(session->client);
        session->client = NULL;
}
