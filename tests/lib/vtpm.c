#include "lib/vtpm.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "base/hex.h"

#define WAIT_MS    20000
#define FORKED_UID 720123 /* where the test is root */

static const char *program(void)
{
        static char path[4096];
        const char *build = getenv("CATENA_BUILD");

        (void)snprintf(path, sizeof(path), "%s/catena-vtpm", build != NULL ? build : ".");
        return path;
}

struct vmm_zygote *test_vtpm_zygote(void)
{
        static struct vmm_zygote *zygote;
        struct err err = {0};

        if (zygote == NULL)
                assert_ok(vmm_zygote_new(program(), &zygote, &err), &err);
        return zygote;
}

static void spawn_program(struct test_vtpm *v, int core, int control)
{
        const char *argv[] = {program(), NULL};
        /* LeakSanitizer stops its process by ptrace, which the sandbox forbids. */
        const char *env[] = {"ASAN_OPTIONS=detect_leaks=0", NULL};
        const struct spawn_fd fds[] = {{2, 2}, {core, 3}, {control, 4}};
        struct err err = {0};

        assert_ok(
            spawn_start(&(struct spawn_request){.path = program(),
                                                .argv = argv,
                                                .env = env,
                                                .fds = fds,
                                                .n_fds = control >= 0 ? 3 : 2,
                                                .isolate = SPAWN_ISOLATE_PID | SPAWN_ISOLATE_NET |
                                                           SPAWN_ISOLATE_IPC | SPAWN_ISOLATE_MOUNT},
                        &v->child, &err),
            &err);
}

static void attach(const struct test_vtpm *v, int control)
{
        const struct engine_attach attach = {0};
        struct err err = {0};

        assert_ok(fd_set_nonblocking(control, &err), &err);
        assert_ok(wire_link_send(v->core, engine_attach_code, 0, 0, &attach, &control, &err), &err);
}

/* Starts an engine with this end of its control channel, which stays ours; -1: without. */
static void start_process(struct test_vtpm *v, int control)
{
        struct err err = {0};
        int core[2];

        assert_ok(fd_socketpair(SOCK_SEQPACKET, core, &err), &err);
        if (v->forked)
                assert_ok(vmm_zygote_fork(
                              test_vtpm_zygote(),
                              &(struct vmm_zygote_request){.patience_msec = VMM_ZYGOTE_WARM_MSEC,
                                                           .uid = FORKED_UID,
                                                           .core = core[1],
                                                           .control = v->spare ? -1 : control},
                              &v->child, &err),
                          &err);
        else
                spawn_program(v, core[1], control);
        fd_close(&core[1]);
        assert_ok(wire_link_new(core[0], &wire_engine_protocol, WIRE_CLIENT, &v->core, &err), &err);
        if (v->spare)
                attach(v, control);
}

void test_vtpm_spawn(struct test_vtpm *v, bool with_control)
{
        struct err err = {0};
        int control[2];

        assert_ok(fd_socketpair(SOCK_STREAM, control, &err), &err);
        start_process(v, with_control || v->forked ? control[1] : -1);
        fd_close(&control[1]);
        v->control = control[0];
        v->data = -1;
}

static void acknowledge(struct test_vtpm *v, uint64_t sequence)
{
        const struct engine_persisted persisted = {.sequence = sequence};
        struct err err = {0};

        assert_ok(wire_link_send(v->core, engine_persisted_code, 0, 0, &persisted, NULL, &err),
                  &err);
}

static void on_persist(struct test_vtpm *v, const struct wire_frame *frame)
{
        struct engine_persist persist;
        struct err err = {0};

        assert_ok(wire_frame_decode(frame, &persist, sizeof(persist), &err), &err);
        v->n_persists++;
        if (v->hold) {
                v->held_sequence = persist.sequence;
                return;
        }
        if (persist.kind == ENGINE_BLOB_PERMANENT) {
                memcpy(v->permanent, persist.blob.data, persist.blob.len);
                v->permanent_len = persist.blob.len;
        }
        acknowledge(v, persist.sequence);
}

static void on_event(struct test_vtpm *v, const struct wire_frame *frame)
{
        struct engine_event event;
        struct err err = {0};

        assert_ok(wire_frame_decode(frame, &event, sizeof(event), &err), &err);
        assert_in_range(event.kind, 1, 7);
        v->events[event.kind]++;
        v->init_count = event.init_count;
}

static void on_response(struct test_vtpm *v, const struct wire_frame *frame)
{
        struct engine_response response;
        struct err err = {0};

        assert_ok(wire_frame_decode(frame, &response, sizeof(response), &err), &err);
        memcpy(v->response, response.response.data, response.response.len);
        v->response_len = response.response.len;
        v->response_id = frame->id;
}

static void on_failed(struct test_vtpm *v, const struct wire_frame *frame)
{
        struct engine_failed failed;
        struct err err = {0};

        assert_ok(wire_frame_decode(frame, &failed, sizeof(failed), &err), &err);
        (void)wire_text_copy(failed.text, v->failed, sizeof(v->failed));
}

static void on_ready(struct test_vtpm *v, const struct wire_frame *frame)
{
        struct engine_ready ready;
        struct err err = {0};

        (void)v;
        assert_ok(wire_frame_decode(frame, &ready, sizeof(ready), &err), &err);
        assert_true(bytes_equal(ready.libtpms, wire_text("0.9.2")));
}

static void decide(struct test_vtpm *v, struct engine_decided *decided)
{
        struct err err = {0};

        decided->result = v->decision;
        assert_ok(wire_link_send(v->core, engine_decided_code, 0, 0, decided, NULL, &err), &err);
}

static void on_claim(struct test_vtpm *v, const struct wire_frame *frame)
{
        (void)frame;
        v->claims++;
        decide(v, &(struct engine_decided){0});
}

static void on_save(struct test_vtpm *v, const struct wire_frame *frame)
{
        struct engine_save save;
        struct err err = {0};

        assert_ok(wire_frame_decode(frame, &save, sizeof(save), &err), &err);
        if (save.volatile_state.len > 0)
                memcpy(v->volatile_state, save.volatile_state.data, save.volatile_state.len);
        v->volatile_len = save.volatile_state.len;
        decide(v, &(struct engine_decided){.token = wire_text(TEST_VTPM_TOKEN)});
}

static void on_restore(struct test_vtpm *v, const struct wire_frame *frame)
{
        struct engine_restore restore;
        struct err err = {0};

        assert_ok(wire_frame_decode(frame, &restore, sizeof(restore), &err), &err);
        if (restore.token.len > 0)
                memcpy(v->shown, restore.token.data, restore.token.len);
        v->shown_len = restore.token.len;
        decide(v, &(struct engine_decided){.permanent = {v->permanent, v->permanent_len},
                                           .volatile_state = {v->volatile_state, v->volatile_len}});
}

static void on_parked(struct test_vtpm *v, struct wire_frame *frame)
{
        struct err err = {0};

        assert_ok(wire_frame_decode(frame, &v->parked, sizeof(v->parked), &err), &err);
        memcpy(v->volatile_state, v->parked.volatile_state.data, v->parked.volatile_state.len);
        v->volatile_len = v->parked.volatile_state.len;
        for (int i = 0; i < 2; i++)
                v->parked_fds[i] = TAKE_FD(frame->fds[i]);
}

static const struct {
        uint16_t code;
        void (*handle)(struct test_vtpm *v, const struct wire_frame *frame);
} handlers[] = {
    {engine_claim_code, on_claim},     {engine_save_code, on_save},
    {engine_restore_code, on_restore}, {engine_persist_code, on_persist},
    {engine_event_code, on_event},     {engine_response_code, on_response},
    {engine_failed_code, on_failed},   {engine_ready_code, on_ready},
};

/* One frame; returns its code, or 0 when the engine closed the channel. */
static uint16_t serve_one(struct test_vtpm *v)
{
        struct wire_frame frame;
        struct err err = {0};

        if (wire_link_receive(v->core, &frame, &err) != 0)
                return 0;
        if (frame.message->code == engine_parked_code)
                on_parked(v, &frame);
        for (size_t i = 0; i < ARRAY_SIZE(handlers); i++)
                if (handlers[i].code == frame.message->code)
                        handlers[i].handle(v, &frame);
        return frame.message->code;
}

static bool is_readable(int fd, int timeout_ms)
{
        struct pollfd polled = {.fd = fd, .events = POLLIN};

        return poll(&polled, 1, timeout_ms) > 0;
}

bool test_vtpm_serve(struct test_vtpm *v, uint16_t until_code)
{
        for (;;) {
                uint16_t code;

                if (!is_readable(wire_link_fd(v->core), WAIT_MS))
                        fail_msg("the engine does not answer");
                code = serve_one(v);
                if (code == 0 || code == until_code)
                        return code != 0;
        }
}

void test_vtpm_start(struct test_vtpm *v, const uint8_t *seed)
{
        struct engine_start start = {
            .uuid = {1},
            .flags = v->start_flags,
            .seed = {seed, seed != NULL ? ENGINE_SEED_SIZE : 0},
            .permanent = {v->permanent, v->permanent_len},
        };
        struct err err = {0};

        if ((v->start_flags & ENGINE_START_EMPTY) != 0)
                start.permanent.len = 0;
        assert_ok(wire_link_send(v->core, engine_start_code, 0, 0, &start, NULL, &err), &err);
        if (!test_vtpm_serve(v, engine_ready_code))
                fail_msg("not ready: %s", v->failed);
}

void test_vtpm_boot(struct test_vtpm *v)
{
        static const char init[] = "\0\0\0\2\0\0\0";

        test_vtpm_spawn(v, true);
        test_vtpm_start(v, NULL);
        test_vtpm_set_datafd(v);
        assert_int_equal(test_vtpm_control_code(v, init, sizeof(init), 4), 0);
}

static void clean_up(struct test_vtpm *v)
{
        wire_link_free(v->core);
        v->core = NULL;
        fd_close(&v->control);
        fd_close(&v->data);
}

void test_vtpm_kill(struct test_vtpm *v)
{
        spawn_kill(&v->child);
        clean_up(v);
}

int test_vtpm_end(struct test_vtpm *v)
{
        struct err err = {0};
        int status = 0;

        assert_ok(spawn_wait(&v->child, WAIT_MS, &status, &err), &err);
        clean_up(v);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void test_vtpm_release(struct test_vtpm *v)
{
        v->hold = false;
        acknowledge(v, v->held_sequence);
}

void test_vtpm_await_held(struct test_vtpm *v)
{
        v->held_sequence = 0;
        while (v->held_sequence == 0) {
                if (!is_readable(wire_link_fd(v->core), WAIT_MS))
                        fail_msg("no blob came");
                assert_true(serve_one(v) != 0);
        }
}

/* Reads exactly n bytes from one of QEMU's channels, being the TCB meanwhile. */
static void read_serving(struct test_vtpm *v, int fd, void *ret_data, size_t n)
{
        uint8_t *p = ret_data;

        while (n > 0) {
                struct pollfd polled[] = {{.fd = fd, .events = POLLIN},
                                          {.fd = wire_link_fd(v->core), .events = POLLIN}};
                ssize_t k;

                if (poll(polled, 2, WAIT_MS) <= 0)
                        fail_msg("no answer");
                if (polled[1].revents != 0 && serve_one(v) == 0)
                        fail_msg("the engine is gone: %s", v->failed);
                if (polled[0].revents == 0)
                        continue;
                k = read(fd, p, n);
                if (k <= 0)
                        fail_msg("the channel was closed");
                p += k;
                n -= (size_t)k;
        }
        /* Events come before the answer that they announce. */
        while (is_readable(wire_link_fd(v->core), 0) && serve_one(v) != 0)
                continue;
}

void test_vtpm_control(struct test_vtpm *v, const void *message, size_t len, void *ret_answer,
                       size_t answer_len)
{
        struct err err = {0};

        assert_ok(fd_write_all(v->control, message, len, &err), &err);
        read_serving(v, v->control, ret_answer, answer_len);
}

uint32_t test_vtpm_control_code(struct test_vtpm *v, const void *message, size_t len,
                                size_t answer_len)
{
        uint8_t answer[4096] = {0};
        struct reader r = reader_from(answer, 4);
        uint32_t code = 0xffffffff;

        test_vtpm_control(v, message, len, answer, answer_len);
        assert_int_equal(reader_get_be32(&r, &code), 0);
        return code;
}

void test_vtpm_set_datafd(struct test_vtpm *v)
{
        struct err err = {0};
        uint8_t answer[4];
        int pair[2];

        assert_ok(fd_socketpair(SOCK_STREAM, pair, &err), &err);
        assert_int_equal(fd_send(v->control, "\0\0\0\x10", 4, &pair[1], 1), 4);
        read_serving(v, v->control, answer, sizeof(answer));
        assert_memory_equal(answer, "\0\0\0\0", 4);
        fd_close(&pair[1]);
        fd_close(&v->data);
        v->data = pair[0];
}

static uint32_t response_code(const struct test_vtpm *v)
{
        struct reader r = reader_from(v->response, v->response_len);
        uint32_t code = 0;

        assert_int_equal(reader_skip(&r, 6), 0);
        assert_int_equal(reader_get_be32(&r, &code), 0);
        return code;
}

static size_t from_hex(const char *hex, uint8_t *ret_command)
{
        size_t len = 0;

        assert_int_equal(hex_decode(hex, strlen(hex), ret_command, ENGINE_COMMAND_MAX, &len), 0);
        return len;
}

uint32_t test_vtpm_command(struct test_vtpm *v, const char *hex)
{
        uint8_t command[ENGINE_COMMAND_MAX];
        size_t len = from_hex(hex, command);
        struct reader r = reader_from(v->response, 10);
        struct err err = {0};
        uint32_t size = 0;

        assert_ok(fd_write_all(v->data, command, len, &err), &err);
        read_serving(v, v->data, v->response, 10);
        assert_int_equal(reader_skip(&r, 2), 0);
        assert_int_equal(reader_get_be32(&r, &size), 0);
        assert_in_range(size, 10, sizeof(v->response));
        read_serving(v, v->data, v->response + 10, size - 10);
        v->response_len = size;
        return response_code(v);
}

uint32_t test_vtpm_core_command(struct test_vtpm *v, const char *hex)
{
        static uint32_t id;
        uint8_t command[ENGINE_COMMAND_MAX];
        struct engine_command message = {.command = {command, from_hex(hex, command)}};
        struct err err = {0};

        assert_ok(wire_link_send(v->core, engine_command_code, ++id, 0, &message, NULL, &err),
                  &err);
        assert_true(test_vtpm_serve(v, engine_response_code));
        assert_int_equal(v->response_id, id);
        return response_code(v);
}

bool test_vtpm_park(struct test_vtpm *v, bool idle_only)
{
        const struct engine_park park = {.idle_only = idle_only};
        struct err err = {0};
        uint16_t code;

        assert_ok(wire_link_send(v->core, engine_park_code, 0, 0, &park, NULL, &err), &err);
        do {
                if (!is_readable(wire_link_fd(v->core), WAIT_MS))
                        fail_msg("the engine does not answer");
                code = serve_one(v);
        } while (code != 0 && code != engine_parked_code && code != engine_busy_code);
        assert_int_not_equal(code, 0);
        return code == engine_parked_code;
}

void test_vtpm_rouse(struct test_vtpm *v)
{
        spawn_kill(&v->child);
        wire_link_free(v->core);
        start_process(v, v->parked_fds[0]);
}

void test_vtpm_send_wake(struct test_vtpm *v, uint64_t clock, uint32_t flags)
{
        struct engine_wake wake = {
            .uuid = {1},
            .flags = flags,
            .clock = clock,
            .init_count = v->parked.init_count,
            .buffer_size = v->parked.buffer_size,
            .locality = v->parked.locality,
            .marks = v->parked.marks,
            .permanent = {v->permanent, v->permanent_len},
            .volatile_state = {v->volatile_state, v->volatile_len},
        };
        struct err err = {0};

        assert_ok(wire_link_send(v->core, engine_wake_code, 0, 0, &wake, &v->parked_fds[1], &err),
                  &err);
}

void test_vtpm_use_up(struct test_vtpm *v)
{
        const struct engine_used_up used_up = {0};
        struct err err = {0};

        assert_ok(wire_link_send(v->core, engine_used_up_code, 0, 0, &used_up, NULL, &err), &err);
}

void test_vtpm_wake(struct test_vtpm *v, uint64_t clock)
{
        test_vtpm_rouse(v);
        test_vtpm_send_wake(v, clock, 0);
        test_vtpm_use_up(v);
        if (!test_vtpm_serve(v, engine_ready_code))
                fail_msg("not awake: %s", v->failed);
        for (int i = 0; i < 2; i++)
                fd_close(&v->parked_fds[i]);
}
