#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/test.h"
#include "wire/agent.h"
#include "wire/engine.h"
#include "wire/link.h"

struct ends {
        struct wire_link *client;
        struct wire_link *server;
};

static struct ends make_ends(int type, bool nonblocking)
{
        struct err err = {0};
        struct ends ends = {0};
        int pair[2];

        assert_ok(fd_socketpair(type, pair, &err), &err);
        for (int i = 0; i < 2 && nonblocking; i++)
                assert_ok(fd_set_nonblocking(pair[i], &err), &err);
        assert_ok(wire_link_new(pair[0], &wire_engine_protocol, WIRE_CLIENT, &ends.client, &err),
                  &err);
        assert_ok(wire_link_new(pair[1], &wire_engine_protocol, WIRE_SERVER, &ends.server, &err),
                  &err);
        return ends;
}

static void free_ends(struct ends *ends)
{
        wire_link_free(ends->client);
        wire_link_free(ends->server);
}

static void carries_messages_both_ways(void **state)
{
        static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
                struct ends ends = make_ends(types[i], false);
                struct engine_persisted done = {.sequence = 9};
                struct engine_persisted got = {0};
                struct engine_ready ready = {.version = wire_text("0.1.0")};
                struct engine_ready seen = {0};
                struct wire_frame frame;
                struct err err = {0};

                assert_ok(
                    wire_link_send(ends.client, engine_persisted_code, 5, 0, &done, NULL, &err),
                    &err);
                assert_ok(wire_link_receive(ends.server, &frame, &err), &err);
                assert_int_equal(frame.id, 5);
                assert_ok(wire_frame_decode(&frame, &got, sizeof(got), &err), &err);
                assert_true(got.sequence == 9);
                assert_ok(wire_link_send(ends.server, engine_ready_code, 6, WIRE_MORE, &ready, NULL,
                                         &err),
                          &err);
                assert_ok(wire_link_receive(ends.client, &frame, &err), &err);
                assert_int_equal(frame.flags, WIRE_MORE);
                assert_ok(wire_frame_decode(&frame, &seen, sizeof(seen), &err), &err);
                assert_true(bytes_equal(seen.version, ready.version));
                wire_link_free(TAKE(ends.client));
                assert_int_equal(wire_link_receive(ends.server, &frame, &err), ERR_UNREACHABLE);
                free_ends(&ends);
        }
}

/* However much is expected, what comes in is what was sent. */
static void takes_what_it_did_not_expect(void **state)
{
        static const size_t sizes[] = {0, 1, 16384, SIZE_MAX};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
                struct ends ends = make_ends(SOCK_SEQPACKET, false);
                uint8_t state_bytes[12000];
                const struct engine_start start = {.permanent = {state_bytes, sizeof(state_bytes)}};
                struct engine_start got = {0};
                struct wire_frame frame;
                struct err err = {0};

                memset(state_bytes, 0x5a, sizeof(state_bytes));
                assert_ok(wire_link_expect(ends.server, sizes[i], &err), &err);
                assert_ok(wire_link_send(ends.client, engine_start_code, 1, 0, &start, NULL, &err),
                          &err);
                assert_ok(wire_link_receive(ends.server, &frame, &err), &err);
                assert_ok(wire_frame_decode(&frame, &got, sizeof(got), &err), &err);
                assert_true(bytes_equal(got.permanent, start.permanent));
                free_ends(&ends);
        }
}

/* Raw bytes from a peer that is not one of ours; each must be cut off with these codes. */
static void cuts_off_who_breaks_the_protocol(void **state)
{
        static const char hello[] = "\0\0\0\x11\0\0\0\0\0\0\0\0\0\1\0\x0d"
                                    "catena-engine";
        static const struct {
                const char *data;
                size_t len;
                bool with_hello;
                int code;
        } rows[] = {
            {"GET / HTTP/1.1\r\n\r\n", 18, false, ERR_MALFORMED},
            {"\0\0\0\x11\0\0\0\0\0\0\0\0\0\2\0\x0d"
             "catena-engine",
             29, false, ERR_UNSUPPORTED},
            {"\0\0\0\x10\0\0\0\0\0\0\0\0\0\1\0\x0c"
             "catena-agent",
             28, false, ERR_MALFORMED},
            {"\0\0\0\x08\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 20, false, ERR_MALFORMED},
            {"\xff\xff\xff\xff\0\2\0\0\0\0\0\0", 12, true, ERR_MALFORMED},     /* huge */
            {"\0\0\0\0\0\x63\0\0\0\0\0\0", 12, true, ERR_MALFORMED},           /* unknown code */
            {"\0\0\0\0\0\4\0\x80\0\0\0\0", 12, true, ERR_MALFORMED},           /* unknown flag */
            {"\0\0\0\x04\0\x12\0\0\0\0\0\0\0\0\0\0", 16, true, ERR_MALFORMED}, /* our own side's */
            {"\0\0\0\0\0\0\0\0\0\0\0\0", 12, true, ERR_MALFORMED},             /* a second hello */
            {"\0\0\0\1\0\4\0\0\0\0\0\0\0", 13, true, ERR_MALFORMED},  /* longer than its message */
            {"\0\0\0\x25\0\0\0\0\0\0\0\0", 12, false, ERR_MALFORMED}, /* a hello that is too long */
            {"\0\0\0\x08\0\2\0\0", 8, true, ERR_UNREACHABLE},         /* cut header */
            {"\0\0\0\x08\0\2\0\0\0\0\0\0\0", 13, true, ERR_UNREACHABLE}, /* cut payload */
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct wire_link AUTO_LINK *server = NULL;
                struct wire_frame frame;
                struct err err = {0};
                int pair[2];

                assert_ok(fd_socketpair(SOCK_STREAM, pair, &err), &err);
                assert_ok(wire_link_new(pair[1], &wire_engine_protocol, WIRE_SERVER, &server, &err),
                          &err);
                if (rows[i].with_hello)
                        assert_ok(fd_write_all(pair[0], hello, sizeof(hello) - 1, &err), &err);
                assert_ok(fd_write_all(pair[0], rows[i].data, rows[i].len, &err), &err);
                fd_close(&pair[0]);
                assert_int_equal(wire_link_receive(server, &frame, &err), rows[i].code);
        }
}

static void refuses_descriptors_nobody_asked_for(void **state)
{
        struct ends ends = make_ends(SOCK_STREAM, false);
        struct engine_stop stop = {0};
        struct wire_frame frame;
        struct err err = {0};
        int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        (void)state;
        assert_ok(wire_link_send(ends.client, engine_stop_code, 1, 0, &stop, NULL, &err), &err);
        assert_ok(wire_link_receive(ends.server, &frame, &err), &err);
        assert_int_equal(
            fd_send(wire_link_fd(ends.client), "\0\0\0\0\0\4\0\0\0\0\0\0", 12, &null_fd, 1), 12);
        assert_int_equal(wire_link_receive(ends.server, &frame, &err), ERR_MALFORMED);
        (void)close(null_fd);
        free_ends(&ends);
}

static void queues_for_a_slow_reader_and_then_gives_up(void **state)
{
        struct ends ends = make_ends(SOCK_STREAM, true);
        static uint8_t blob[ENGINE_BLOB_MAX];
        struct engine_persist persist = {.kind = 1, .blob = {blob, sizeof(blob)}};
        struct engine_persist got;
        struct wire_frame frame;
        struct err err = {0};
        uint64_t sent = 0;
        uint64_t received = 0;
        int rc;

        (void)state;
        assert_int_equal(wire_link_receive(ends.client, &frame, &err), WIRE_AGAIN);
        do {
                persist.sequence = sent;
                rc = wire_link_send(ends.server, engine_persist_code, 0, 0, &persist, NULL, &err);
                sent += rc == 0;
        } while (rc == 0);
        assert_int_equal(rc, ERR_LIMIT);
        assert_true(sent > 100);
        assert_true(wire_link_has_output(ends.server));
        while (received < sent) {
                rc = wire_link_receive(ends.client, &frame, &err);
                if (rc == WIRE_AGAIN) {
                        assert_ok(wire_link_flush(ends.server, &err), &err);
                        continue;
                }
                assert_int_equal(rc, 0);
                assert_ok(wire_frame_decode(&frame, &got, sizeof(got), &err), &err);
                assert_true(got.sequence == received++);
        }
        assert_false(wire_link_has_output(ends.server));
        free_ends(&ends);
}

/* The bytes of a peer that greets and is ready. */
static size_t make_greeting(uint8_t *ret_bytes, size_t size)
{
        struct ends ends = make_ends(SOCK_STREAM, true);
        const struct engine_ready ready = {.version = wire_text("0.1.0")};
        struct err err = {0};
        ssize_t n;

        assert_ok(wire_link_send(ends.server, engine_ready_code, 6, 0, &ready, NULL, &err), &err);
        n = recv(wire_link_fd(ends.client), ret_bytes, size, 0);
        assert_true(n > 40);
        free_ends(&ends);
        return (size_t)n;
}

static void expect_ready(struct wire_link *link)
{
        struct wire_frame frame;
        struct err err = {0};

        assert_ok(wire_link_receive(link, &frame, &err), &err);
        assert_int_equal(frame.message->code, engine_ready_code);
        assert_int_equal(frame.id, 6);
        assert_int_equal(wire_link_receive(link, &frame, &err), WIRE_AGAIN);
}

/* What another process left half read: everything up to the next hello is nobody's. */
static void begins_at_the_next_hello(void **state)
{
        static char much[100000];
        static const struct {
                const char *left;
                size_t len; /* 0: that of the words */
        } rows[] = {
            {"", 0},
            {"the end of a frame", 0},
            {"\0\0\4\0\0\x11\0\0\0\0\0\1half", 16},
            {"\xff\xff\xff\xff\0\x11\0\0\0\0\0\1", 12},
            {"\0\0\0\x11\0\0\0\0\0\0\0\0\0\1\0\x0d"
             "catena-engin",
             28}, /* a hello but for its last letter */
            {"\0", 1},
            {"\0\0\0", 3},
            {much, sizeof(much)},
        };
        uint8_t greeting[256];
        const size_t n = make_greeting(greeting, sizeof(greeting));

        (void)state;
        memset(much, 0, sizeof(much));
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const size_t len = rows[i].len == 0 ? strlen(rows[i].left) : rows[i].len;

                /* In one piece, and byte by byte. */
                for (int step = 0; step < 2; step++) {
                        struct ends ends = make_ends(SOCK_STREAM, true);
                        const int peer = wire_link_fd(ends.server);
                        struct wire_frame frame;
                        struct err err = {0};

                        wire_link_resync(ends.client);
                        for (size_t at = 0; at < len;) {
                                const size_t part = len - at > 4096 ? 4096 : len - at;

                                assert_int_equal(send(peer, rows[i].left + at, part, 0), part);
                                at += part;
                                assert_int_equal(wire_link_receive(ends.client, &frame, &err),
                                                 WIRE_AGAIN);
                        }
                        for (size_t k = 0; step == 1 && k + 1 < n; k++) {
                                assert_int_equal(send(peer, greeting + k, 1, 0), 1);
                                assert_int_equal(wire_link_receive(ends.client, &frame, &err),
                                                 WIRE_AGAIN);
                        }
                        if (step == 1)
                                assert_int_equal(send(peer, greeting + n - 1, 1, 0), 1);
                        else
                                assert_int_equal(send(peer, greeting, n, 0), n);
                        expect_ready(ends.client);
                        /* Once only: from here on the protocol holds. */
                        assert_int_equal(send(peer, "nonsense nonsense", 17, 0), 17);
                        assert_int_equal(wire_link_receive(ends.client, &frame, &err),
                                         ERR_MALFORMED);
                        free_ends(&ends);
                }
        }
}

/* Descriptors that come with what is dropped are closed; an end is an end (G-GUEST). */
static void drops_what_comes_before_the_hello(void **state)
{
        struct ends ends = make_ends(SOCK_STREAM, true);
        char junk[64] = "junk";
        struct wire_frame frame;
        struct err err = {0};
        int pipes[2];

        (void)state;
        assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
        wire_link_resync(ends.client);
        assert_int_equal(fd_send(wire_link_fd(ends.server), junk, sizeof(junk), &pipes[1], 1),
                         sizeof(junk));
        fd_close(&pipes[1]);
        assert_int_equal(wire_link_receive(ends.client, &frame, &err), WIRE_AGAIN);
        assert_int_equal(read(pipes[0], junk, 1), 0);
        fd_close(&pipes[0]);
        wire_link_free(TAKE(ends.server));
        assert_int_equal(wire_link_receive(ends.client, &frame, &err), ERR_UNREACHABLE);
        free_ends(&ends);
}

/* The process before us never spoke: its peer was not greeted, and greeted nobody but it. */
static void greets_so_that_the_peer_greets_again(void **state)
{
        const struct agent_hello hello = {.version = wire_text("1")};
        const struct agent_identify identify = {0};
        const struct agent_identity identity = {.ek_pub = wire_text("ek")};
        struct wire_link *agent = NULL;
        struct wire_link *next = NULL;
        struct wire_frame frame;
        struct err err = {0};
        uint8_t lost[256];
        int pair[2];

        (void)state;
        assert_ok(fd_socketpair(SOCK_STREAM, pair, &err), &err);
        assert_ok(fd_set_nonblocking(pair[0], &err), &err);
        assert_ok(fd_set_nonblocking(pair[1], &err), &err);
        assert_ok(wire_link_new(pair[1], &wire_agent_protocol, WIRE_SERVER, &agent, &err), &err);
        assert_ok(wire_link_send(agent, agent_hello_code, 0, 0, &hello, NULL, &err), &err);
        assert_true(recv(pair[0], lost, sizeof(lost), 0) > 0);
        assert_ok(wire_link_new(pair[0], &wire_agent_protocol, WIRE_CLIENT, &next, &err), &err);
        wire_link_resync(next);
        assert_ok(wire_link_send(next, agent_identify_code, 9, 0, &identify, NULL, &err), &err);
        assert_ok(wire_link_receive(agent, &frame, &err), &err);
        assert_int_equal(frame.id, 9);
        assert_ok(wire_link_send(agent, agent_identity_code, 9, 0, &identity, NULL, &err), &err);
        assert_ok(wire_link_receive(next, &frame, &err), &err);
        assert_int_equal(frame.message->code, agent_identity_code);
        wire_link_free(agent);
        wire_link_free(next);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(carries_messages_both_ways),
            cmocka_unit_test(takes_what_it_did_not_expect),
            cmocka_unit_test(cuts_off_who_breaks_the_protocol),
            cmocka_unit_test(refuses_descriptors_nobody_asked_for),
            cmocka_unit_test(queues_for_a_slow_reader_and_then_gives_up),
            cmocka_unit_test(begins_at_the_next_hello),
            cmocka_unit_test(drops_what_comes_before_the_hello),
            cmocka_unit_test(greets_so_that_the_peer_greets_again),
        };
        return cmocka_run_group_tests_name("wire-link", tests, NULL, NULL);
}
