#include "arbiter/embedded.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "arbiter/state-file.h"
#include "base/fd.h"
#include "base/log.h"
#include "vmm/engine.h"
#include "wire/engine.h"
#include "wire/link.h"

#define START_TIMEOUT_MSEC 20000
#define DEGRADED_MAX       600

/* QEMU's emulator protocol, of which the arbiter needs two requests (PLATFORM.md, M). */
#define CMD_INIT       2
#define CMD_SET_DATAFD 16

struct embedded {
        struct vmm_engine engine;
        struct wire_link *core;
        int control;
        int data;
        int dir;
        uint64_t generation;
        char degraded[DEGRADED_MAX];
};

/* While the disk is full or failing there is nothing to answer with: it is tried again. */
static void save(struct embedded *embedded, struct bytes blob)
{
        const struct timespec pause = {.tv_nsec = 200000000};
        unsigned failures = 0;
        struct err err = {0};

        while (state_file_save(embedded->dir, embedded->generation + 1, blob, &err) != 0) {
                if (failures++ % 50 == 0)
                        log_error((&(struct log_fields){.op = "save", .err = &err}),
                                  "the software pTPM waits for the disk");
                (void)nanosleep(&pause, NULL);
        }
        embedded->generation++;
}

/* The engine waits until its state is durable; until the disk takes it, so do we. */
static int store_blob(struct embedded *embedded, const struct wire_frame *frame, struct err *err)
{
        struct engine_persist persist;
        struct engine_persisted done;

        if (wire_frame_decode(frame, &persist, sizeof(persist), err) != 0)
                return err->code;
        if (persist.kind == ENGINE_BLOB_PERMANENT && persist.blob.len == 0)
                return err_set(err, ERR_MALFORMED, "empty permanent state");
        /* Volatile state of a software pTPM dies with it, as a TPM's does at power off. */
        if (persist.kind == ENGINE_BLOB_PERMANENT) {
                save(embedded, persist.blob);
        }
        done.sequence = persist.sequence;
        return wire_link_send(embedded->core, engine_persisted_code, 0, 0, &done, NULL, err);
}

static int note_ready(struct embedded *embedded, const struct wire_frame *frame, struct err *err)
{
        struct engine_ready ready;
        char text[256];

        if (wire_frame_decode(frame, &ready, sizeof(ready), err) != 0)
                return err->code;
        wire_text_copy(ready.sandbox, text, sizeof(text));
        if (text[0] != '\0')
                (void)snprintf(embedded->degraded + strlen(embedded->degraded),
                               sizeof(embedded->degraded) - strlen(embedded->degraded),
                               "software pTPM: no %s", text);
        return 0;
}

static int report_failure(const struct wire_frame *frame, struct err *err)
{
        struct engine_failed failed;
        char text[401];

        if (wire_frame_decode(frame, &failed, sizeof(failed), err) != 0)
                return err->code;
        return err_set(err, err_from_wire(failed.code), "software pTPM: %s",
                       wire_text_copy(failed.text, text, sizeof(text)));
}

/* Serves one frame of the engine's; *ret_ready when it was engine_ready. */
static int serve_core(struct embedded *embedded, bool *ret_ready, struct err *err)
{
        struct wire_frame frame;

        if (wire_link_receive(embedded->core, &frame, err) != 0)
                return err_wrap(err, "software pTPM");
        switch (frame.message->code) {
        case engine_persist_code:
                return store_blob(embedded, &frame, err);
        case engine_ready_code:
                *ret_ready = true;
                return note_ready(embedded, &frame, err);
        case engine_failed_code:
                return report_failure(&frame, err);
        default:
                return 0; /* events do not matter here */
        }
}

static int on_side(void *arg, struct err *err)
{
        bool ready = false;

        return serve_core(arg, &ready, err);
}

/* Waits until fd is readable, serving the engine meanwhile. */
static int wait_readable(struct embedded *embedded, int fd, int timeout_msec, struct err *err)
{
        for (;;) {
                struct pollfd fds[2] = {{.fd = fd, .events = POLLIN},
                                        {.fd = wire_link_fd(embedded->core), .events = POLLIN}};
                bool ready = false;
                const int n = poll(fds, 2, timeout_msec);

                if (n == 0)
                        return err_set(err, ERR_TIMEOUT, "software pTPM does not answer");
                if (n < 0 && errno != EINTR)
                        return err_set_errno(err, errno, "wait for the software pTPM");
                if (fds[1].revents != 0 && serve_core(embedded, &ready, err) != 0)
                        return err->code;
                if (fds[0].revents != 0)
                        return 0;
        }
}

static int request(struct embedded *embedded, const uint8_t *data, size_t len, const int *fd,
                   struct err *err)
{
        uint8_t answer[4];

        if (fd_send(embedded->control, data, len, fd, fd != NULL ? 1 : 0) != (ssize_t)len)
                return err_set(err, ERR_UNREACHABLE, "software pTPM: control channel");
        if (wait_readable(embedded, embedded->control, START_TIMEOUT_MSEC, err) != 0 ||
            fd_read_exact(embedded->control, answer, sizeof(answer), err) != 0)
                return err_wrap(err, "software pTPM: control channel");
        if (memcmp(answer, "\0\0\0\0", 4) != 0)
                return err_set(err, ERR_TPM, "software pTPM: control request %u failed", data[3]);
        return 0;
}

static int power_on(struct embedded *embedded, struct err *err)
{
        static const uint8_t set_datafd[4] = {0, 0, 0, CMD_SET_DATAFD};
        static const uint8_t init[8] = {0, 0, 0, CMD_INIT, 0, 0, 0, 0};
        int pair[2];
        int rc;

        if (fd_socketpair(SOCK_STREAM, pair, err) != 0)
                return err->code;
        embedded->data = pair[0];
        rc = request(embedded, set_datafd, sizeof(set_datafd), &pair[1], err);
        fd_close(&pair[1]);
        return rc != 0 ? rc : request(embedded, init, sizeof(init), NULL, err);
}

static int start_engine(struct embedded *embedded, const struct embedded_request *request,
                        struct err *err)
{
        int core[2];
        int control[2];
        int rc;

        if (fd_socketpair(SOCK_SEQPACKET, core, err) != 0)
                return err->code;
        if (fd_socketpair(SOCK_STREAM, control, err) != 0) {
                fd_close(&core[0]);
                fd_close(&core[1]);
                return err->code;
        }
        rc = vmm_engine_start(request->engine, request->uid, core[1], control[1], &embedded->engine,
                              err);
        fd_close(&core[1]);
        fd_close(&control[1]);
        embedded->control = control[0];
        if (rc != 0) {
                fd_close(&core[0]);
                return rc;
        }
        if (embedded->engine.child.degraded != 0)
                (void)snprintf(embedded->degraded, sizeof(embedded->degraded), "%s; ",
                               embedded->engine.child.words);
        return wire_link_new(core[0], &wire_engine_protocol, WIRE_CLIENT, &embedded->core, err);
}

static int load_state(struct embedded *embedded, bool fresh, struct err *err)
{
        struct engine_start start = {0};
        struct state_file file = {0};
        bool ready = false;
        int rc = state_file_load(embedded->dir, &file, err);

        if (rc != 0)
                return rc;
        /* Without its state there is nothing that would open the store: never made anew. */
        if (file.len == 0 && (file.generation != 0 || !fresh)) {
                free(file.blob);
                return err_set(err, ERR_DAMAGED, STATE_FILE_NAME ": %s",
                               file.generation != 0 ? "empty" : "it is gone");
        }
        embedded->generation = file.generation;
        start.permanent = (struct bytes){file.blob, file.len};
        rc = wire_link_send(embedded->core, engine_start_code, 0, 0, &start, NULL, err);
        if (file.blob != NULL)
                explicit_bzero(file.blob, file.len);
        free(file.blob);
        while (rc == 0 && !ready)
                rc = serve_core(embedded, &ready, err);
        return rc;
}

int embedded_open(const struct embedded_request *request, struct embedded **ret_embedded,
                  struct err *err)
{
        struct embedded *embedded = calloc(1, sizeof(*embedded));
        int rc;

        if (embedded == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        embedded->control = embedded->data = -1;
        embedded->dir = open(request->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (embedded->dir < 0)
                rc = err_set(err, ERR_NOT_FOUND, "no state directory %s", request->state);
        else
                rc = start_engine(embedded, request, err);
        if (rc == 0)
                rc = load_state(embedded, request->fresh, err);
        if (rc == 0)
                rc = power_on(embedded, err);
        if (rc != 0) {
                embedded_close(embedded);
                return rc;
        }
        *ret_embedded = embedded;
        return 0;
}

void embedded_options(struct embedded *embedded, struct tpm_fd_options *ret_options)
{
        *ret_options = (struct tpm_fd_options){.fd = embedded->data,
                                               .side_fd = wire_link_fd(embedded->core),
                                               .side = on_side,
                                               .arg = embedded};
}

int embedded_wait(struct embedded *embedded, int fd, struct err *err)
{
        return wait_readable(embedded, fd, -1, err);
}

int embedded_dir(const struct embedded *embedded)
{
        return embedded->dir;
}

pid_t embedded_pid(const struct embedded *embedded)
{
        return embedded->engine.child.pid;
}

const char *embedded_degraded(const struct embedded *embedded)
{
        return embedded->degraded;
}

void embedded_close(struct embedded *embedded)
{
        if (embedded == NULL)
                return;
        fd_close(&embedded->data);
        fd_close(&embedded->control);
        wire_link_free(embedded->core);
        vmm_engine_kill(&embedded->engine);
        fd_close(&embedded->dir);
        free(embedded);
}
