/*
 * The TCB's end of the supervisor's channel, with the supervisor's end in our hands: what it may
 * keep for us, and one that says what no supervisor says (G-GUEST).
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/test.h"
#include "tcb/keeper.h"
#include "wire/engine.h"
#include "wire/event.h"
#include "wire/link.h"

static const uint8_t uuid[16] = {1, 2, 3};

struct rig {
        struct wire_link *supervisor;
        int tcb; /* the other end, until a keeper takes it */
        struct keeper *keeper;
        sd_event *event;
        unsigned leaves;
        unsigned ends;
        int status; /* of the last end */
};

static void set_up(struct rig *rig)
{
        struct err err = {0};
        int fds[2];

        *rig = (struct rig){.tcb = -1};
        assert_ok(fd_socketpair(SOCK_SEQPACKET, fds, &err), &err);
        rig->tcb = fds[1];
        assert_ok(fd_set_nonblocking(fds[0], &err), &err);
        assert_ok(
            wire_link_new(fds[0], &wire_supervisor_protocol, WIRE_SERVER, &rig->supervisor, &err),
            &err);
        assert_true(sd_event_new(&rig->event) >= 0);
}

static void tear_down(struct rig *rig)
{
        keeper_free(rig->keeper);
        wire_link_free(rig->supervisor);
        fd_close(&rig->tcb);
        sd_event_unref(rig->event);
}

static void say(struct rig *rig, uint16_t code, const void *message, const int *fds)
{
        struct err err = {0};

        assert_ok(wire_link_send(rig->supervisor, code, 0, 0, message, fds, &err), &err);
}

/* The next message that the TCB sent. */
static struct wire_frame hear(struct rig *rig, uint16_t code)
{
        struct wire_frame frame;
        struct err err = {0};

        assert_ok(wire_link_receive(rig->supervisor, &frame, &err), &err);
        assert_string_equal(frame.message->name,
                            wire_message_find(&wire_supervisor_protocol, code)->name);
        return frame;
}

static void hear_nothing(struct rig *rig)
{
        struct wire_frame frame;
        struct err err = {0};

        assert_int_equal(wire_link_receive(rig->supervisor, &frame, &err), WIRE_AGAIN);
}

static void keep(struct rig *rig, const char *name, uint16_t code, const void *record,
                 const int *fds)
{
        static const uint16_t codes[] = {supervisor_keep1_code, supervisor_keep2_code,
                                         supervisor_keep3_code};
        const struct wire_message *row = wire_message_find(&wire_kept_protocol, code);
        uint8_t memory[SUPERVISOR_RECORD_MAX];
        struct supervisor_keep1 message = {.name = wire_text(name)};
        struct err err = {0};
        struct writer w;

        writer_init_fixed(&w, memory, sizeof(memory));
        writer_put_be16(&w, code);
        assert_ok(wire_encode(row, record, &w, &err), &err);
        message.record = writer_bytes(&w);
        say(rig, codes[row->n_fds - 1], &message, fds);
}

static void end_list(struct rig *rig)
{
        static const uint8_t key[SUPERVISOR_KEY_LEN] = {7, 7, 7};
        const struct supervisor_listed listed = {
            .starts = 3, .key = {key, sizeof(key)}, .why = wire_text("killed by signal 9")};
        int program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

        say(rig, supervisor_listed_code, &listed, &program);
        fd_close(&program);
}

static int take_list(struct rig *rig, struct err *err)
{
        return keeper_new(TAKE_FD(rig->tcb), &rig->keeper, err);
}

static void on_leave(void *user)
{
        struct rig *rig = user;

        rig->leaves++;
}

static const struct keeper_ops ops = {on_leave};

/* A keeper that serves, and has said so. */
static void serve(struct rig *rig)
{
        struct err err = {0};

        assert_ok(keeper_attach(rig->keeper, rig->event, &ops, rig, &err), &err);
        keeper_serve(rig->keeper);
}

static void turn(struct rig *rig)
{
        while (sd_event_run(rig->event, 0) > 0)
                ;
}

/* A process that waits for its end, by its pidfd. */
static int start_child(pid_t *ret_pid)
{
        pid_t pid = fork();
        int fd;

        assert_true(pid >= 0);
        /* It must not outlive a test that failed. */
        while (pid == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0)
                (void)pause();
        fd = (int)syscall(SYS_pidfd_open, pid, 0);
        assert_true(fd >= 0);
        *ret_pid = pid;
        return fd;
}

static void end_child(pid_t pid, int *pidfd)
{
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        fd_close(pidfd);
}

static void make_pair(int ret_fds[2])
{
        struct err err = {0};

        assert_ok(fd_socketpair(SOCK_SEQPACKET, ret_fds, &err), &err);
}

static void keep_first(struct rig *rig, const char *name, int fd)
{
        const struct kept_first first = {.pid = 5, .standing = KEPT_STANDING_RESTORED};

        keep(rig, name, kept_first_code, &first, &fd);
}

/* ---- what is left ---------------------------------------------------------------------------- */

static void takes_what_was_left(void **state)
{
        const struct kept_engine engine = {
            .protocol = 9, .pid = 11, .uid = 12, .user = KEPT_USER_VM};
        const struct supervisor_deaths deaths = {
            .n = 2, .last = 1000000007, .why = wire_text("did not answer")};
        struct keeper_left AUTO_LEFT *left = NULL;
        struct kept_engine decoded;
        struct kept_first wrong;
        char name[SUPERVISOR_NAME_MAX + 1];
        struct err err = {0};
        struct rig rig;
        int fds[2];
        int pair[2];
        pid_t pid;

        (void)state;
        set_up(&rig);
        make_pair(pair);
        fds[0] = pair[1];
        fds[1] = start_child(&pid);
        keeper_name("vtpm", uuid, name);
        assert_string_equal(name, "vtpm/01020300-0000-0000-0000-000000000000");
        keep(&rig, name, kept_engine_code, &engine, fds);
        keep_first(&rig, "peer1/x", pair[0]);
        say(&rig, supervisor_deaths_code, &deaths, NULL);
        end_list(&rig);
        assert_ok(take_list(&rig, &err), &err);
        fd_close(&pair[1]);
        assert_int_equal(keeper_deaths(rig.keeper).n, 2);
        assert_int_equal(keeper_deaths(rig.keeper).last, 1000000007);
        assert_string_equal(keeper_deaths(rig.keeper).why, "did not answer");
        assert_int_equal(keeper_starts(rig.keeper), 3);
        assert_string_equal(keeper_why(rig.keeper), "killed by signal 9");
        assert_int_equal(keeper_key(rig.keeper)->data[2], 7);
        assert_true(keeper_program(rig.keeper) >= 0);
        assert_null(keeper_take(rig.keeper, "vtpm/y"));
        left = keeper_take(rig.keeper, name);
        assert_non_null(left);
        assert_null(keeper_take(rig.keeper, name));
        assert_int_equal(keeper_left_decode(left, kept_first_code, &wrong, sizeof(wrong), &err),
                         ERR_MALFORMED);
        assert_ok(keeper_left_decode(left, kept_engine_code, &decoded, sizeof(decoded), &err),
                  &err);
        assert_memory_equal(&decoded, &engine, sizeof(engine));
        /* The first of its descriptors is the other end of this pair. */
        assert_int_equal(send(pair[0], "?", 1, 0), 1);
        assert_int_equal(recv(left->fds[0], (char[1]){0}, 1, MSG_DONTWAIT), 1);
        keeper_left_free(TAKE(left));
        left = keeper_take_any(rig.keeper, "peer");
        assert_string_equal(left->name, "peer1/x");
        assert_null(keeper_take_any(rig.keeper, ""));
        fd_close(&pair[0]);
        end_child(pid, &fds[1]);
        tear_down(&rig);
}

static void what_nobody_takes_is_dropped(void **state)
{
        struct supervisor_drop drop;
        struct wire_frame frame;
        struct err err = {0};
        struct rig rig;
        int pair[2];

        (void)state;
        set_up(&rig);
        make_pair(pair);
        keep_first(&rig, "peer1/x", pair[1]);
        end_list(&rig);
        assert_ok(take_list(&rig, &err), &err);
        fd_close(&pair[1]);
        (void)hear(&rig, supervisor_list_code);
        assert_int_equal(recv(pair[0], (char[1]){0}, 1, MSG_DONTWAIT), -1);
        serve(&rig);
        frame = hear(&rig, supervisor_drop_code);
        assert_ok(wire_frame_decode(&frame, &drop, sizeof(drop), &err), &err);
        assert_true(bytes_equal(drop.name, wire_text("peer1/x")));
        (void)hear(&rig, supervisor_serving_code);
        /* Nobody has the other end any more. */
        assert_int_equal(recv(pair[0], (char[1]){0}, 1, MSG_DONTWAIT), 0);
        fd_close(&pair[0]);
        tear_down(&rig);
}

static void nothing_without_a_supervisor(void **state)
{
        struct secret *key = NULL;
        struct err err = {0};

        (void)state;
        assert_ok(secret_new_copy("k", 1, &key, &err), &err);
        assert_null(keeper_take(NULL, "x"));
        assert_null(keeper_take_any(NULL, "x"));
        assert_null(keeper_key(NULL));
        assert_int_equal(keeper_program(NULL), -1);
        assert_int_equal(keeper_starts(NULL), 0);
        assert_string_equal(keeper_why(NULL), "");
        assert_int_equal(keeper_deaths(NULL).n, 0);
        assert_ok(keeper_attach(NULL, NULL, NULL, NULL, &err), &err);
        keeper_put(NULL, "x", kept_server_code, NULL, NULL);
        keeper_put_key(NULL, key);
        keeper_drop(NULL, "x");
        keeper_unwatch(NULL, 1);
        keeper_serve(NULL);
        keeper_end(NULL);
        keeper_free(NULL);
        keeper_left_free(NULL);
        secret_free(key);
}

/* ---- while it serves ------------------------------------------------------------------------- */

static void start(struct rig *rig)
{
        struct err err = {0};

        set_up(rig);
        end_list(rig);
        assert_ok(take_list(rig, &err), &err);
        serve(rig);
        (void)hear(rig, supervisor_list_code);
        (void)hear(rig, supervisor_serving_code);
}

static void puts_in_order(void **state)
{
        static const uint8_t bytes[SUPERVISOR_KEY_LEN] = {1, 2};
        const struct kept_first first = {.pid = 5};
        struct secret *key = NULL;
        struct supervisor_keep1 kept;
        struct supervisor_key told;
        struct wire_frame frame;
        struct err err = {0};
        struct rig rig;
        int pair[2];

        (void)state;
        start(&rig);
        make_pair(pair);
        assert_ok(secret_new_copy(bytes, sizeof(bytes), &key, &err), &err);
        keeper_put_key(rig.keeper, key);
        keeper_put(rig.keeper, "peer1/x", kept_first_code, &first, &pair[1]);
        keeper_drop(rig.keeper, "peer1/x");
        keeper_end(rig.keeper);
        frame = hear(&rig, supervisor_key_code);
        assert_ok(wire_frame_decode(&frame, &told, sizeof(told), &err), &err);
        assert_memory_equal(told.key, bytes, sizeof(bytes));
        frame = hear(&rig, supervisor_keep1_code);
        assert_ok(wire_frame_decode(&frame, &kept, sizeof(kept), &err), &err);
        assert_true(bytes_equal(kept.name, wire_text("peer1/x")));
        assert_int_equal(kept.record.data[1], kept_first_code);
        assert_true(frame.fds[0] >= 0);
        wire_frame_close_fds(&frame);
        (void)hear(&rig, supervisor_drop_code);
        (void)hear(&rig, supervisor_done_code);
        hear_nothing(&rig);
        /* It stays ours. */
        assert_int_equal(send(pair[1], "?", 1, 0), 1);
        fd_close(&pair[0]);
        fd_close(&pair[1]);
        secret_free(key);
        tear_down(&rig);
}

static void on_ended(void *user, int status)
{
        struct rig *rig = user;

        rig->ends++;
        rig->status = status;
}

static void say_exited(struct rig *rig, uint32_t pid, uint32_t status)
{
        const struct supervisor_exited exited = {.pid = pid, .status = status};

        say(rig, supervisor_exited_code, &exited, NULL);
        turn(rig);
}

static void tells_of_an_end_once(void **state)
{
        struct err err = {0};
        struct rig rig;

        (void)state;
        start(&rig);
        assert_ok(keeper_watch(rig.keeper, 40, on_ended, &rig, &err), &err);
        say_exited(&rig, 41, 1); /* an unknown one */
        say_exited(&rig, UINT32_MAX, 1);
        assert_int_equal(rig.ends, 0);
        say_exited(&rig, 40, 9);
        say_exited(&rig, 40, 9);
        assert_int_equal(rig.ends, 1);
        assert_int_equal(rig.status, 9);
        assert_ok(keeper_watch(rig.keeper, 42, on_ended, &rig, &err), &err);
        assert_int_equal(keeper_watch(rig.keeper, 42, on_ended, &err, &err), ERR_CONFLICT);
        keeper_unwatch(rig.keeper, 40); /* not watched any more: nothing */
        keeper_unwatch(rig.keeper, 42);
        say_exited(&rig, 42, 9);
        assert_int_equal(rig.ends, 1);
        /* One that is watched still is freed with the keeper. */
        assert_ok(keeper_watch(rig.keeper, 43, on_ended, &rig, &err), &err);
        tear_down(&rig);
}

static void leaves_when_asked(void **state)
{
        const struct supervisor_leave leave = {0};
        const struct supervisor_refused refused = {.name = wire_text("vtpm/of nobody")};
        struct rig rig;

        (void)state;
        start(&rig);
        say(&rig, supervisor_refused_code, &refused, NULL);
        turn(&rig);
        assert_int_equal(rig.leaves, 0);
        say(&rig, supervisor_leave_code, &leave, NULL);
        turn(&rig);
        assert_int_equal(rig.leaves, 1);
        tear_down(&rig);
}

/* It is gone, or it broke the protocol: nothing more is said to it, and nothing fails for it. */
static void goes_on_alone(struct rig *rig)
{
        const struct kept_server server = {0};

        turn(rig);
        keeper_put(rig->keeper, "server", kept_server_code, &server, (int[1]){0});
        keeper_drop(rig->keeper, "server");
        keeper_end(rig->keeper);
}

/* From the loop, and as often as it is asked. */
static void says_that_it_lives(void **state)
{
        const struct supervisor_ask ask = {0};
        struct err err = {0};
        struct rig rig;

        (void)state;
        set_up(&rig);
        end_list(&rig);
        assert_ok(take_list(&rig, &err), &err);
        (void)hear(&rig, supervisor_list_code);
        say(&rig, supervisor_ask_code, &ask, NULL);
        serve(&rig);
        (void)hear(&rig, supervisor_serving_code);
        hear_nothing(&rig);
        for (int i = 0; i < 3; i++) {
                turn(&rig);
                (void)hear(&rig, supervisor_alive_code);
                hear_nothing(&rig);
                say(&rig, supervisor_ask_code, &ask, NULL);
        }
        tear_down(&rig);
}

struct flood {
        struct wire_hub *hub;
        struct wire_event *ours;
        struct wire_link *theirs;
        unsigned frames;
};

static int on_flood(void *user, struct wire_frame *frame, struct err *err)
{
        struct flood *flood = user;

        (void)frame;
        (void)err;
        flood->frames++;
        return 0;
}

static void on_flood_closed(void *user, const struct err *err)
{
        (void)user;
        fail_msg("%s", err->text);
}

static const struct wire_event_ops flood_ops = {on_flood, on_flood_closed};

static void on_served(void *user)
{
        (void)user;
}

static void start_flood(struct flood *flood, sd_event *event)
{
        struct err err = {0};
        int fds[2];

        *flood = (struct flood){0};
        assert_ok(wire_hub_new(event, on_served, NULL, &flood->hub, &err), &err);
        assert_ok(fd_socketpair(SOCK_STREAM, fds, &err), &err);
        assert_ok(fd_set_nonblocking(fds[0], &err), &err);
        assert_ok(wire_event_new_in(flood->hub, fds[1], &wire_engine_protocol, WIRE_CLIENT,
                                    &flood_ops, flood, &flood->ours, &err),
                  &err);
        assert_ok(wire_link_new(fds[0], &wire_engine_protocol, WIRE_SERVER, &flood->theirs, &err),
                  &err);
}

/* As much as the socket takes: more than a turn's worth. */
static void pour(struct flood *flood)
{
        const struct engine_event event = {.kind = ENGINE_EVENT_STARTUP};
        struct err err = {0};

        while (!wire_link_has_output(flood->theirs))
                assert_ok(
                    wire_link_send(flood->theirs, engine_event_code, 0, 0, &event, NULL, &err),
                    &err);
        assert_ok(wire_link_flush(flood->theirs, &err), &err);
}

/* G-GUEST: engines that flood do not make us miss the answer by which we are known to live. */
static void lives_under_a_flood(void **state)
{
        const struct supervisor_ask ask = {0};
        struct err err = {0};
        struct flood flood;
        struct rig rig;

        (void)state;
        set_up(&rig);
        end_list(&rig);
        assert_ok(take_list(&rig, &err), &err);
        (void)hear(&rig, supervisor_list_code);
        serve(&rig);
        (void)hear(&rig, supervisor_serving_code);
        start_flood(&flood, rig.event);
        for (unsigned round = 1; round <= 20; round++) {
                pour(&flood);
                say(&rig, supervisor_ask_code, &ask, NULL);
                /* One source a turn: the flood's, and the supervisor's. */
                for (int i = 0; i < 3; i++)
                        (void)sd_event_run(rig.event, 0);
                (void)hear(&rig, supervisor_alive_code);
                assert_true(flood.frames > 0);
        }
        wire_event_free(flood.ours);
        wire_link_free(flood.theirs);
        wire_hub_free(flood.hub);
        tear_down(&rig);
}

static void a_supervisor_that_dies(void **state)
{
        struct rig rig;

        (void)state;
        start(&rig);
        wire_link_free(TAKE(rig.supervisor));
        goes_on_alone(&rig);
        tear_down(&rig);
}

/* ---- G-GUEST: a supervisor that is none ----------------------------------------------------- */

struct raw {
        const char *name;
        uint16_t code;
        size_t n_fds;
        size_t len;
        uint8_t payload[16];
        int rc;
};

static void say_raw(struct rig *rig, const struct raw *raw, size_t cut)
{
        const int fds[3] = {0, 0, 0};
        uint8_t frame[12 + sizeof(raw->payload)] = {0};

        frame[3] = (uint8_t)raw->len;
        frame[5] = (uint8_t)raw->code;
        memcpy(frame + 12, raw->payload, raw->len);
        assert_int_equal(
            fd_send(wire_link_fd(rig->supervisor), frame, 12 + raw->len - cut, fds, raw->n_fds),
            12 + raw->len - cut);
}

static void say_hello(struct rig *rig)
{
        static const uint8_t hello[] = "\0\0\0\x15\0\0\0\0\0\0\0\0\0\x01\0\x11"
                                       "catena-supervisor";

        assert_int_equal(send(wire_link_fd(rig->supervisor), hello, sizeof(hello) - 1, 0),
                         sizeof(hello) - 1);
}

/* keep1 of a name "a" with a record of so many bytes. */
#define KEEP(n, ...)                                                                               \
        {                                                                                          \
                0, 0, 0, 1, 'a', 0, 0, 0, n, __VA_ARGS__                                           \
        }

static void a_list_that_makes_no_sense(void **state)
{
        static const struct raw rows[] = {
            {"no record", supervisor_keep1_code, 1, 9, KEEP(0, 0), ERR_UNSUPPORTED},
            {"half a code", supervisor_keep1_code, 1, 10, KEEP(1, 0), ERR_UNSUPPORTED},
            {"a record of another build", supervisor_keep1_code, 1, 11, KEEP(2, 0, 99),
             ERR_UNSUPPORTED},
            {"two descriptors' record with one", supervisor_keep1_code, 1, 11, KEEP(2, 0, 1),
             ERR_UNSUPPORTED},
            {"one descriptor's record with two", supervisor_keep2_code, 2, 11, KEEP(2, 0, 4),
             ERR_UNSUPPORTED},
            {"fewer descriptors than the message", supervisor_keep3_code, 2, 11, KEEP(2, 0, 3),
             ERR_MALFORMED},
            {"more descriptors than the message", supervisor_keep1_code, 2, 11, KEEP(2, 0, 7),
             ERR_MALFORMED},
            {"none", supervisor_keep1_code, 0, 11, KEEP(2, 0, 7), ERR_MALFORMED},
            {"a record that is cut", supervisor_keep1_code, 1, 10, KEEP(2, 0), ERR_MALFORMED},
            {"something behind it", supervisor_keep1_code, 1, 12, KEEP(2, 0, 7, 0), ERR_MALFORMED},
            {"a name without an end",
             supervisor_keep1_code,
             1,
             5,
             {0, 0, 1, 0, 'a'},
             ERR_MALFORMED},
            {"a name of control characters",
             supervisor_keep1_code,
             1,
             11,
             {0, 0, 0, 1, 7, 0, 0, 0, 2, 0, 7},
             ERR_MALFORMED},
            {"our own message", supervisor_list_code, 0, 0, {0}, ERR_MALFORMED},
            {"an end before the list's", supervisor_exited_code, 0, 8, {0}, ERR_MALFORMED},
            {"no such message", 77, 0, 0, {0}, ERR_MALFORMED},
            {"a list's end without the program", supervisor_listed_code, 0, 12, {0}, ERR_MALFORMED},
            {"a key that is none",
             supervisor_listed_code,
             1,
             13,
             {0, 0, 0, 1, 0, 0, 0, 1, 'k'},
             ERR_MALFORMED},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct err err = {0};
                struct rig rig;

                set_up(&rig);
                say_hello(&rig);
                say_raw(&rig, &rows[i], 0);
                if (take_list(&rig, &err) != rows[i].rc)
                        fail_msg("%s: %d: %s", rows[i].name, err.code, err.text);
                assert_null(rig.keeper);
                tear_down(&rig);
        }
}

static void a_list_that_does_not_end(void **state)
{
        static const struct raw raw = {"", supervisor_keep1_code, 1, 11, KEEP(2, 0, 7), 0};
        struct err err = {0};
        struct rig rig;

        (void)state;
        /* Cut at every byte of a frame: a packet comes whole or not at all. */
        for (size_t cut = 1; cut <= 12 + raw.len; cut++) {
                set_up(&rig);
                say_hello(&rig);
                if (cut < 12 + raw.len)
                        say_raw(&rig, &raw, cut);
                else
                        wire_link_free(TAKE(rig.supervisor));
                assert_int_equal(take_list(&rig, &err),
                                 cut < 12 + raw.len ? ERR_MALFORMED : ERR_UNREACHABLE);
                assert_null(rig.keeper);
                tear_down(&rig);
        }
}

static void a_name_twice(void **state)
{
        struct err err = {0};
        struct rig rig;
        int pair[2];

        (void)state;
        set_up(&rig);
        make_pair(pair);
        keep_first(&rig, "peer1/x", pair[0]);
        keep_first(&rig, "peer2/x", pair[0]);
        keep_first(&rig, "peer1/x", pair[1]);
        end_list(&rig);
        assert_int_equal(take_list(&rig, &err), ERR_MALFORMED);
        assert_non_null(strstr(err.text, "peer1/x twice"));
        fd_close(&pair[0]);
        fd_close(&pair[1]);
        tear_down(&rig);
}

static void a_channel_that_is_none(void **state)
{
        static const char *const paths[] = {"/dev/null", "/dev/zero", "/proc/self/exe", "/"};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
                struct keeper *keeper = NULL;
                struct err err = {0};
                int fd = open(paths[i], O_RDONLY | O_CLOEXEC);

                assert_true(fd >= 0);
                assert_true(keeper_new(fd, &keeper, &err) < 0);
                assert_null(keeper);
        }
}

/*
 * One whose descriptors are of other kinds than its record's goes to nobody, and is dropped; the
 * others go on.
 */
static void descriptors_of_another_kind(void **state)
{
        /* s: a socket, l: one that listens, p: a process, f: a file */
        static const struct {
                uint16_t code;
                const char *kinds;
        } rows[] = {
            {kept_engine_code, "ff"},  {kept_engine_code, "ps"}, {kept_engine_code, "ss"},
            {kept_engine_code, "lp"},  {kept_parked_code, "sf"}, {kept_parked_code, "ls"},
            {kept_qemu_code, "sss"},   {kept_qemu_code, "psf"},  {kept_qemu_code, "ppp"},
            {kept_first_code, "p"},    {kept_first_code, "l"},   {kept_second_code, "ssf"},
            {kept_second_code, "pss"}, {kept_socket_code, "s"},  {kept_server_code, "f"},
        };
        static const union {
                struct kept_engine engine;
                struct kept_second second;
                struct kept_qemu qemu;
        } zero;
        struct err err = {0};
        struct rig rig;
        int kinds[128] = {0};
        pid_t pid;
        int pair[2];

        (void)state;
        make_pair(pair);
        kinds['s'] = pair[0];
        kinds['f'] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        kinds['l'] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        kinds['p'] = start_child(&pid);
        /* An abstract address of the kernel's choice. */
        assert_int_equal(
            bind(kinds['l'], &(struct sockaddr){.sa_family = AF_UNIX}, sizeof(sa_family_t)), 0);
        assert_int_equal(listen(kinds['l'], 1), 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                int fds[3] = {-1, -1, -1};

                for (size_t k = 0; rows[i].kinds[k] != '\0'; k++)
                        fds[k] = kinds[(uint8_t)rows[i].kinds[k]];
                set_up(&rig);
                keep(&rig, "bad", rows[i].code, &zero, fds);
                keep_first(&rig, "good", kinds['s']);
                end_list(&rig);
                assert_ok(take_list(&rig, &err), &err);
                if (keeper_take(rig.keeper, "bad") != NULL)
                        fail_msg("row %zu: %s is taken", i, rows[i].kinds);
                keeper_left_free(keeper_take(rig.keeper, "good"));
                (void)hear(&rig, supervisor_list_code);
                (void)hear(&rig, supervisor_drop_code);
                /* What is kept from now on under its name stays. */
                keeper_put(rig.keeper, "bad", kept_server_code, &zero, &kinds['l']);
                (void)hear(&rig, supervisor_keep1_code);
                serve(&rig);
                (void)hear(&rig, supervisor_serving_code);
                tear_down(&rig);
        }
        end_child(pid, &kinds['p']);
        fd_close(&kinds['f']);
        fd_close(&kinds['l']);
        fd_close(&pair[0]);
        fd_close(&pair[1]);
}

/* After the list, in the loop. */
static void words_that_make_no_sense(void **state)
{
        static const struct raw rows[] = {
            {"a second list", supervisor_listed_code, 1, 12, {0}, 0},
            {"something kept", supervisor_keep1_code, 1, 11, KEEP(2, 0, 7), 0},
            {"our own message", supervisor_serving_code, 0, 0, {0}, 0},
            {"half an end", supervisor_exited_code, 0, 4, {0}, 0},
            {"an end with a descriptor", supervisor_exited_code, 1, 8, {0}, 0},
            {"no such message", 77, 0, 0, {0}, 0},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct rig rig;

                start(&rig);
                say_raw(&rig, &rows[i], 0);
                goes_on_alone(&rig);
                assert_int_equal(rig.leaves, 0);
                tear_down(&rig);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(takes_what_was_left),
            cmocka_unit_test(what_nobody_takes_is_dropped),
            cmocka_unit_test(nothing_without_a_supervisor),
            cmocka_unit_test(puts_in_order),
            cmocka_unit_test(tells_of_an_end_once),
            cmocka_unit_test(leaves_when_asked),
            cmocka_unit_test(says_that_it_lives),
            cmocka_unit_test(lives_under_a_flood),
            cmocka_unit_test(a_supervisor_that_dies),
            cmocka_unit_test(a_list_that_makes_no_sense),
            cmocka_unit_test(a_list_that_does_not_end),
            cmocka_unit_test(a_name_twice),
            cmocka_unit_test(a_channel_that_is_none),
            cmocka_unit_test(descriptors_of_another_kind),
            cmocka_unit_test(words_that_make_no_sense),
        };

        return cmocka_run_group_tests_name("tcb-keeper", tests, NULL, NULL);
}
