/*
 * The relay between clients and a TCB that the test plays: what is well formed goes through as it
 * is, both ways, and whoever breaks the table's rules is cut off without the other side hearing it.
 */
#include <errno.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "hostd/relay.h"
#include "lib/test.h"
#include "wire/link.h"
#include "wire/tcb.h"

#define PAIRS_MAX 200 /* relay.c's */
#define TURNS_MAX 100000

static struct rig {
        sd_event *event;
        struct relay *relay;
        struct sockaddr_un front; /* the relay's socket */
        struct sockaddr_un back;  /* the TCB's */
        int tcb;                  /* listens there */
} rig;

static void listen_as_tcb(void)
{
        rig.tcb = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        (void)unlink(rig.back.sun_path);
        assert_int_equal(bind(rig.tcb, (struct sockaddr *)&rig.back, sizeof(rig.back)), 0);
        assert_int_equal(listen(rig.tcb, 1024), 0);
}

static void set_up(void)
{
        struct err err = {0};

        memset(&rig, 0, sizeof(rig));
        rig.front.sun_family = AF_UNIX;
        rig.back.sun_family = AF_UNIX;
        (void)snprintf(rig.front.sun_path, sizeof(rig.front.sun_path), "%s/front", test_dir());
        (void)snprintf(rig.back.sun_path, sizeof(rig.back.sun_path), "%s/back", test_dir());
        assert_true(sd_event_new(&rig.event) >= 0);
        listen_as_tcb();
        assert_ok(relay_new(&(struct relay_request){.event = rig.event,
                                                    .listen_path = rig.front.sun_path,
                                                    .tcb_path = rig.back.sun_path},
                            &rig.relay, &err),
                  &err);
}

static void tear_down(void)
{
        relay_free(rig.relay);
        assert_int_equal(access(rig.front.sun_path, F_OK), -1);
        fd_close(&rig.tcb);
        sd_event_unref(rig.event);
}

/* Everything that the relay can do now; it is in this process, so nothing has to be waited for. */
static void run(void)
{
        int n = 1;

        for (int i = 0; n > 0 && i < TURNS_MAX; i++)
                n = sd_event_run(rig.event, 0);
        assert_int_equal(n, 0);
}

static int connect_client(void)
{
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        assert_int_equal(connect(fd, (struct sockaddr *)&rig.front, sizeof(rig.front)), 0);
        return fd;
}

static bool is_closed(int fd)
{
        uint8_t bytes[4096];
        ssize_t n;

        do
                n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        while (n > 0);
        return n == 0 || errno == ECONNRESET;
}

/* A client and the TCB's end of its connection, both greeted. */
struct both {
        int client_fd;
        int tcb_fd;
        struct wire_link *client;
        struct wire_link *tcb;
};

static struct both connect_both(void)
{
        struct both both = {.client_fd = connect_client()};
        struct err err = {0};

        run();
        both.tcb_fd = accept4(rig.tcb, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        assert_true(both.tcb_fd >= 0);
        assert_ok(
            wire_link_new(both.client_fd, &wire_tcb_protocol, WIRE_CLIENT, &both.client, &err),
            &err);
        assert_ok(wire_link_new(both.tcb_fd, &wire_tcb_protocol, WIRE_SERVER, &both.tcb, &err),
                  &err);
        return both;
}

static void disconnect(struct both *both)
{
        wire_link_free(both->client);
        wire_link_free(both->tcb);
        run();
}

static void ask(struct wire_link *client, uint32_t id)
{
        const struct tcb_vtpm_open open = {.name = wire_text("web")};
        struct err err = {0};

        assert_ok(wire_link_send(client, tcb_vtpm_open_code, id, 0, &open, NULL, &err), &err);
        run();
}

static void expect(struct wire_link *link, uint16_t code, uint32_t id, struct wire_frame *ret)
{
        struct err err = {0};

        assert_ok(wire_link_receive(link, ret, &err), &err);
        assert_int_equal(ret->message->code, code);
        assert_int_equal(ret->id, id);
}

static void passes_on_as_it_is(void **state)
{
        const struct tcb_progress progress = {.text = wire_text("half")};
        const struct tcb_vtpm_opened opened = {0};
        struct tcb_vtpm_open open;
        struct wire_frame frame;
        struct err err = {0};
        struct both both;
        int pair[2];

        (void)state;
        set_up();
        both = connect_both();
        ask(both.client, 0xfffffffe);
        expect(both.tcb, tcb_vtpm_open_code, 0xfffffffe, &frame);
        assert_ok(wire_frame_decode(&frame, &open, sizeof(open), &err), &err);
        assert_true(bytes_equal(open.name, wire_text("web")));
        assert_ok(fd_socketpair(SOCK_STREAM, pair, &err), &err);
        assert_ok(wire_link_send(both.tcb, tcb_progress_code, 7, WIRE_MORE, &progress, NULL, &err),
                  &err);
        assert_ok(wire_link_send(both.tcb, tcb_vtpm_opened_code, 7, 0, &opened, pair, &err), &err);
        run();
        expect(both.client, tcb_progress_code, 7, &frame);
        assert_int_equal(frame.flags, WIRE_MORE);
        expect(both.client, tcb_vtpm_opened_code, 7, &frame);
        assert_int_equal(frame.flags, 0);
        /* The descriptor is the one that was sent. */
        assert_int_equal(write(frame.fds[0], "x", 1), 1);
        wire_frame_close_fds(&frame);
        assert_int_equal(read(pair[1], &(char){0}, 1), 1);
        fd_close(&pair[0]);
        fd_close(&pair[1]);
        disconnect(&both);
        tear_down();
}

/* What is about the relay itself goes no further. */
static void answers_for_itself(void **state)
{
        const struct tcb_relay question = {0};
        struct tcb_relay_is answer;
        struct wire_frame frame;
        struct err err = {0};
        struct both both;

        (void)state;
        set_up();
        relay_set_sandbox(rig.relay, "seccomp");
        both = connect_both();
        assert_ok(wire_link_send(both.client, tcb_relay_code, 3, 0, &question, NULL, &err), &err);
        run();
        expect(both.client, tcb_relay_is_code, 3, &frame);
        assert_ok(wire_frame_decode(&frame, &answer, sizeof(answer), &err), &err);
        assert_true(bytes_equal(answer.sandbox, wire_text("seccomp")));
        assert_int_equal(wire_link_receive(both.tcb, &frame, &err), WIRE_AGAIN);
        disconnect(&both);
        tear_down();
}

/* Hostile ends --------------------------------------------------------------------------------- */

#define HELLO                                                                                      \
        "\0\0\0\x0e\0\0\0\0\0\0\0\0\0\1\0\x0a"                                                     \
        "catena-tcb"
#define ROW(words, bytes)                                                                          \
        {                                                                                          \
                words, bytes, sizeof(bytes) - 1                                                    \
        }

static const struct hostile {
        const char *words;
        const char *bytes;
        size_t len;
} from_clients[] =
    {
        ROW("no hello", "GET / HTTP/1.1\r\n\r\n"),
        ROW("another version", "\0\0\0\x0e\0\0\0\0\0\0\0\0\0\2\0\x0a"
                               "catena-tcb"),
        ROW("another protocol", "\0\0\0\x0f\0\0\0\0\0\0\0\0\0\1\0\x0b"
                                "catena-ptpm"),
        ROW("a second hello", HELLO HELLO),
        ROW("an unknown request", HELLO "\0\0\0\0\0\x63\0\0\0\0\0\1"),
        ROW("an answer", HELLO "\0\0\0\0\1\0\0\0\0\0\0\1"),
        ROW("unknown flags", HELLO "\0\0\0\0\0\1\0\2\0\0\0\1"),
        ROW("a payload without end", HELLO "\xff\xff\xff\xff\0\x12\0\0\0\0\0\1"),
        ROW("more than the request can have", HELLO "\0\0\1\0\0\x12\0\0\0\0\0\1"),
},
  from_tcbs[] = {
      ROW("no hello", "HTTP/1.1 200 OK\r\n\r\n"),
      ROW("a request", HELLO "\0\0\0\0\0\1\0\0\0\0\0\1"),
      ROW("an unknown answer", HELLO "\0\0\0\0\1\xff\0\0\0\0\0\1"),
      ROW("a payload without end", HELLO "\xff\xff\xff\xff\1\4\0\0\0\0\0\1"),
};

static void send_all(int fd, const void *data, size_t len)
{
        assert_int_equal(send(fd, data, len, MSG_NOSIGNAL), (ssize_t)len);
        run();
}

/* Nothing of it reaches the other side but the relay's own greeting. */
static void expect_silence(int fd, const char *words)
{
        uint8_t bytes[4096];
        ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

        if (n > 0 && !(n == sizeof(HELLO) - 1 && memcmp(bytes, HELLO, (size_t)n) == 0))
                fail_msg("%s: %zd bytes were passed on", words, n);
        if (!is_closed(fd))
                fail_msg("%s: the other side is not told", words);
}

static void cuts_off_who_breaks_the_rules(void **state)
{
        (void)state;
        set_up();
        for (size_t i = 0; i < ARRAY_SIZE(from_clients) + ARRAY_SIZE(from_tcbs); i++) {
                bool is_client = i < ARRAY_SIZE(from_clients);
                const struct hostile *row =
                    is_client ? &from_clients[i] : &from_tcbs[i - ARRAY_SIZE(from_clients)];
                struct both both = connect_both();

                send_all(is_client ? both.client_fd : both.tcb_fd, row->bytes, row->len);
                if (!is_closed(is_client ? both.client_fd : both.tcb_fd))
                        fail_msg("%s: not cut off", row->words);
                expect_silence(is_client ? both.tcb_fd : both.client_fd, row->words);
                disconnect(&both);
        }
        tear_down();
}

/* A frame is passed on whole or not at all, wherever its sender stops. */
static void half_a_frame_goes_nowhere(void **state)
{
        static const char frame[] = HELLO "\0\0\0\x07\0\x12\0\0\0\0\0\1\0\0\0\3web";

        (void)state;
        set_up();
        for (size_t len = 0; len < sizeof(frame) - 1; len++) {
                struct both both = connect_both();

                if (len > 0)
                        send_all(both.client_fd, frame, len);
                assert_int_equal(shutdown(both.client_fd, SHUT_WR), 0);
                run();
                expect_silence(both.tcb_fd, "half a frame");
                assert_true(is_closed(both.client_fd));
                disconnect(&both);
        }
        tear_down();
}

static void a_descriptor_that_nobody_asked_for_cuts_off(void **state)
{
        static char frame[] = HELLO "\0\0\0\0\0\1\0\0\0\0\0\1";
        struct iovec iov = {frame, sizeof(frame) - 1};
        union {
                struct cmsghdr header;
                uint8_t bytes[CMSG_SPACE(sizeof(int))];
        } control = {.header = {.cmsg_level = SOL_SOCKET,
                                .cmsg_type = SCM_RIGHTS,
                                .cmsg_len = CMSG_LEN(sizeof(int))}};
        const struct msghdr message = {.msg_iov = &iov,
                                       .msg_iovlen = 1,
                                       .msg_control = &control,
                                       .msg_controllen = sizeof(control)};
        struct both both;

        (void)state;
        set_up();
        both = connect_both();
        memcpy(CMSG_DATA(&control.header), &both.client_fd, sizeof(int));
        assert_int_equal(sendmsg(both.client_fd, &message, MSG_NOSIGNAL), sizeof(frame) - 1);
        run();
        assert_true(is_closed(both.client_fd));
        expect_silence(both.tcb_fd, "a descriptor");
        disconnect(&both);
        tear_down();
}

/* Whoever never reads is given up at the queue's limit, and nobody else waits for it. */
static void a_client_that_never_reads_is_given_up(void **state)
{
        static uint8_t data[1U << 20];
        const struct tcb_evidence evidence = {.path = wire_text("big"),
                                              .data = {data, sizeof(data)}};
        struct wire_frame frame;
        struct err err = {0};
        struct both stuck;
        struct both other;
        unsigned sent = 0;

        (void)state;
        set_up();
        stuck = connect_both();
        other = connect_both();
        while (sent < 64 && wire_link_send(stuck.tcb, tcb_evidence_code, 1, WIRE_MORE, &evidence,
                                           NULL, &err) == 0) {
                sent++;
                for (int i = 0; i < 100 && wire_link_has_output(stuck.tcb); i++) {
                        run();
                        if (wire_link_flush(stuck.tcb, &err) != 0)
                                break;
                }
        }
        assert_true(sent >= WIRE_QUEUE_MAX / sizeof(data) && sent < 64);
        run();
        assert_true(is_closed(stuck.tcb_fd));
        assert_true(is_closed(stuck.client_fd));
        ask(other.client, 1);
        expect(other.tcb, tcb_vtpm_open_code, 1, &frame);
        disconnect(&stuck);
        disconnect(&other);
        tear_down();
}

/* Ends and limits ------------------------------------------------------------------------------ */

static void either_end_ends_both(void **state)
{
        struct both both;

        (void)state;
        set_up();
        both = connect_both();
        wire_link_free(both.client);
        run();
        assert_true(is_closed(both.tcb_fd));
        wire_link_free(both.tcb);
        both = connect_both();
        wire_link_free(both.tcb);
        run();
        assert_true(is_closed(both.client_fd));
        wire_link_free(both.client);
        /* One that is still being served goes with the relay. */
        both = connect_both();
        tear_down();
        assert_true(is_closed(both.client_fd));
        assert_true(is_closed(both.tcb_fd));
        wire_link_free(both.client);
        wire_link_free(both.tcb);
}

static void turns_away_one_too_many(void **state)
{
        int clients[PAIRS_MAX + 1];
        struct both both;

        (void)state;
        set_up();
        for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
                clients[i] = connect_client();
        run();
        for (size_t i = 0; i < PAIRS_MAX; i++)
                assert_false(is_closed(clients[i]));
        assert_true(is_closed(clients[PAIRS_MAX]));
        for (size_t i = 0; i < PAIRS_MAX; i++) {
                int tcb = accept4(rig.tcb, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

                assert_true(tcb >= 0);
                fd_close(&tcb);
        }
        run();
        for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
                assert_true(is_closed(clients[i]));
                fd_close(&clients[i]);
        }
        both = connect_both(); /* there is room again */
        disconnect(&both);
        tear_down();
}

static void without_a_tcb_nobody_is_let_in(void **state)
{
        struct both both;
        int client;

        (void)state;
        set_up();
        fd_close(&rig.tcb);
        client = connect_client();
        run();
        assert_true(is_closed(client));
        fd_close(&client);
        listen_as_tcb();
        both = connect_both();
        disconnect(&both);
        tear_down();
}

static void its_socket_is_for_the_group_alone(void **state)
{
        struct stat st;

        (void)state;
        set_up();
        assert_int_equal(stat(rig.front.sun_path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0660);
        tear_down();
}

static void a_path_that_does_not_fit_is_refused(void **state)
{
        char path[200];
        struct relay *relay = NULL;
        sd_event *event = NULL;
        struct err err = {0};

        (void)state;
        memset(path, 'x', sizeof(path) - 1);
        path[sizeof(path) - 1] = '\0';
        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(relay_new(&(struct relay_request){event, path, "/tcb"}, &relay, &err),
                         ERR_LIMIT);
        assert_non_null(strstr(err.text, "socket path too long"));
        assert_int_equal(
            relay_new(&(struct relay_request){event, "/nonexistent/x", "/tcb"}, &relay, &err),
            ERR_NOT_FOUND);
        assert_null(relay);
        sd_event_unref(event);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(passes_on_as_it_is),
            cmocka_unit_test(answers_for_itself),
            cmocka_unit_test(cuts_off_who_breaks_the_rules),
            cmocka_unit_test(half_a_frame_goes_nowhere),
            cmocka_unit_test(a_descriptor_that_nobody_asked_for_cuts_off),
            cmocka_unit_test(a_client_that_never_reads_is_given_up),
            cmocka_unit_test(either_end_ends_both),
            cmocka_unit_test(turns_away_one_too_many),
            cmocka_unit_test(without_a_tcb_nobody_is_let_in),
            cmocka_unit_test(its_socket_is_for_the_group_alone),
            cmocka_unit_test(a_path_that_does_not_fit_is_refused),
        };
        return cmocka_run_group_tests_name("hostd-relay", tests, NULL, NULL);
}
