/* The supervisor against a TCB that says what no TCB says (G-GUEST). */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/test.h"
#include "supervisor/serve.h"
#include "wire/link.h"

/* A supervisor and the channel of one TCB after the other. */
struct pair {
        struct serve_keep keep;
        struct serve *serve;
        struct wire_link *tcb;
};

static void connect_tcb(struct pair *pair)
{
        struct err err = {0};
        int fds[2];

        assert_ok(fd_socketpair(SOCK_SEQPACKET, fds, &err), &err);
        assert_ok(serve_new(fds[0], &pair->keep, &pair->serve, &err), &err);
        assert_ok(fd_set_nonblocking(fds[1], &err), &err);
        assert_ok(wire_link_new(fds[1], &wire_supervisor_protocol, WIRE_CLIENT, &pair->tcb, &err),
                  &err);
}

static void lose_tcb(struct pair *pair)
{
        serve_free(TAKE(pair->serve));
        wire_link_free(TAKE(pair->tcb));
}

static void open_pair(struct pair *pair, size_t fds_max)
{
        struct err err = {0};

        *pair = (struct pair){.keep = {.starts = 1}};
        assert_ok(keep_new(fds_max, &pair->keep.keep, &err), &err);
        pair->keep.program = open("/dev/null", O_RDONLY | O_CLOEXEC);
        connect_tcb(pair);
}

static void close_pair(struct pair *pair)
{
        lose_tcb(pair);
        keep_free(pair->keep.keep);
        secret_free(pair->keep.key);
        fd_close(&pair->keep.program);
}

static void say(struct pair *pair, uint16_t code, const void *message, const int *fds)
{
        struct err err = {0};

        assert_ok(wire_link_send(pair->tcb, code, 0, 0, message, fds, &err), &err);
}

/* Turns of the supervisor's, until there is nothing left to do: what the last one returned. */
static int turn(struct pair *pair)
{
        struct err err = {0};
        int rc = 0;

        for (int i = 0; i < 100 && rc >= 0; i++)
                rc = serve_process(pair->serve, &err);
        return rc;
}

static void list(struct pair *pair)
{
        const struct supervisor_list message = {0};

        say(pair, supervisor_list_code, &message, NULL);
        assert_int_equal(turn(pair), WIRE_AGAIN);
}

/* The next frame to the TCB must be this one. */
static struct wire_frame hear(struct pair *pair, uint16_t code)
{
        struct wire_frame frame = {0};
        struct err err = {0};

        assert_ok(wire_link_receive(pair->tcb, &frame, &err), &err);
        assert_int_equal(frame.message->code, code);
        return frame;
}

static struct supervisor_listed hear_listed(struct pair *pair)
{
        struct wire_frame frame = hear(pair, supervisor_listed_code);
        struct supervisor_listed listed = {0};
        struct err err = {0};

        assert_ok(wire_frame_decode(&frame, &listed, sizeof(listed), &err), &err);
        assert_true(frame.fds[0] >= 0);
        wire_frame_close_fds(&frame);
        return listed;
}

static void hear_nothing(struct pair *pair)
{
        struct wire_frame frame;
        struct err err = {0};

        assert_int_equal(wire_link_receive(pair->tcb, &frame, &err), WIRE_AGAIN);
}

static void keep_two(struct pair *pair, const char *name, const char *record)
{
        const struct supervisor_keep2 message = {.name = wire_text(name),
                                                 .record = wire_text(record)};
        struct err err = {0};
        int fds[2];

        assert_ok(fd_socketpair(SOCK_STREAM, fds, &err), &err);
        say(pair, supervisor_keep2_code, &message, fds);
        fd_close(&fds[0]);
        fd_close(&fds[1]);
}

static void keeps_from_one_to_the_next(void **state)
{
        const struct supervisor_drop drop = {.name = wire_text("gone")};
        const struct supervisor_key key = {.key = {1, 2, 3}};
        const struct supervisor_serving serving = {0};
        struct supervisor_keep2 kept = {0};
        struct supervisor_listed listed;
        struct wire_frame frame;
        struct err err = {0};
        struct pair pair;

        (void)state;
        open_pair(&pair, 100);
        list(&pair);
        listed = hear_listed(&pair);
        assert_int_equal(listed.starts, 1);
        assert_int_equal(listed.key.len, 0);
        assert_int_equal(listed.why.len, 0);
        keep_two(&pair, "gone", "x");
        keep_two(&pair, "stays", "before");
        keep_two(&pair, "stays", "after");
        say(&pair, supervisor_drop_code, &drop, NULL);
        say(&pair, supervisor_key_code, &key, NULL);
        assert_false(serve_is_serving(pair.serve));
        say(&pair, supervisor_serving_code, &serving, NULL);
        /* It dies: what it said last is in the socket. */
        wire_link_free(TAKE(pair.tcb));
        assert_int_equal(turn(&pair), ERR_UNREACHABLE);
        assert_true(serve_is_serving(pair.serve));
        lose_tcb(&pair);

        (void)snprintf(pair.keep.why, sizeof(pair.keep.why), "died of\n\xff");
        pair.keep.starts = 2;
        connect_tcb(&pair);
        list(&pair);
        frame = hear(&pair, supervisor_keep2_code);
        assert_ok(wire_frame_decode(&frame, &kept, sizeof(kept), &err), &err);
        assert_true(bytes_equal(kept.name, wire_text("stays")));
        assert_true(bytes_equal(kept.record, wire_text("after")));
        /* The two are the two ends of one pair still, in their order. */
        assert_int_equal(send(frame.fds[0], "?", 1, 0), 1);
        assert_int_equal(recv(frame.fds[1], (char[1]){0}, 1, MSG_DONTWAIT), 1);
        wire_frame_close_fds(&frame);
        listed = hear_listed(&pair);
        assert_int_equal(listed.starts, 2);
        assert_true(bytes_equal(listed.key, (struct bytes){key.key, sizeof(key.key)}));
        assert_true(bytes_equal(listed.why, wire_text("died of??")));
        close_pair(&pair);
}

static void forgets_all_at_an_end_in_order(void **state)
{
        const struct supervisor_key key = {.key = {1}};
        const struct supervisor_done done = {0};
        struct pair pair;

        (void)state;
        open_pair(&pair, 100);
        list(&pair);
        keep_two(&pair, "a", "");
        say(&pair, supervisor_key_code, &key, NULL);
        assert_int_equal(turn(&pair), WIRE_AGAIN);
        assert_int_equal(keep_count(pair.keep.keep), 1);
        assert_non_null(pair.keep.key);
        assert_false(serve_is_done(pair.serve));
        say(&pair, supervisor_done_code, &done, NULL);
        assert_int_equal(turn(&pair), WIRE_AGAIN);
        assert_true(serve_is_done(pair.serve));
        assert_int_equal(keep_count(pair.keep.keep), 0);
        assert_null(pair.keep.key);
        close_pair(&pair);
}

static void tells_of_ends_after_the_list(void **state)
{
        struct supervisor_exited exited = {0};
        struct wire_frame frame;
        struct err err = {0};
        struct pair pair;

        (void)state;
        open_pair(&pair, 100);
        serve_exited(NULL, &pair.keep, 11, 256);
        serve_exited(pair.serve, &pair.keep, 12, SIGKILL);
        hear_nothing(&pair);
        list(&pair);
        (void)hear_listed(&pair);
        for (uint32_t pid = 11; pid <= 13; pid++) {
                if (pid == 13)
                        serve_exited(pair.serve, &pair.keep, 13, 0);
                frame = hear(&pair, supervisor_exited_code);
                assert_ok(wire_frame_decode(&frame, &exited, sizeof(exited), &err), &err);
                assert_int_equal(exited.pid, pid);
        }
        hear_nothing(&pair);
        /* More than are remembered: the latest are. */
        for (int i = 0; i < SERVE_EXITS_MAX + 10; i++)
                serve_exited(NULL, &pair.keep, 100 + i, 0);
        assert_int_equal(pair.keep.n_exits, SERVE_EXITS_MAX);
        assert_int_equal(pair.keep.exits[SERVE_EXITS_MAX - 1].pid, 100 + SERVE_EXITS_MAX + 9);
        close_pair(&pair);
}

static void refuses_what_is_too_much(void **state)
{
        struct supervisor_refused refused = {0};
        struct wire_frame frame;
        struct err err = {0};
        struct pair pair;

        (void)state;
        open_pair(&pair, 3);
        list(&pair);
        (void)hear_listed(&pair);
        keep_two(&pair, "a", "");
        keep_two(&pair, "b", "");
        assert_int_equal(turn(&pair), WIRE_AGAIN);
        frame = hear(&pair, supervisor_refused_code);
        assert_ok(wire_frame_decode(&frame, &refused, sizeof(refused), &err), &err);
        assert_true(bytes_equal(refused.name, wire_text("b")));
        assert_int_equal(keep_count(pair.keep.keep), 1);
        close_pair(&pair);
}

/* A long list to a TCB that reads slowly: nothing is lost, and no copies of descriptors wait. */
static void lists_as_the_tcb_reads(void **state)
{
        enum { MANY = 3000 };
        struct wire_frame frame;
        struct err err = {0};
        struct pair pair;
        unsigned n = 0;
        int rc;

        (void)state;
        open_pair(&pair, 2 * MANY);
        for (int i = 0; i < MANY; i++) {
                int fds[1] = {open("/dev/null", O_RDONLY | O_CLOEXEC)};
                char name[16];

                (void)snprintf(name, sizeof(name), "%d", i);
                if (fds[0] < 0)
                        break; /* no more are allowed here */
                assert_ok(keep_put(pair.keep.keep, wire_text(name), wire_text("r"), fds, 1, &err),
                          &err);
        }
        say(&pair, supervisor_list_code, &(const struct supervisor_list){0}, NULL);
        do {
                rc = serve_process(pair.serve, &err);
                assert_true(rc >= 0);
                while (wire_link_receive(pair.tcb, &frame, &err) == 0) {
                        n += frame.message->code == supervisor_keep1_code;
                        rc = frame.message->code == supervisor_listed_code ? -1 : rc;
                        wire_frame_close_fds(&frame);
                }
        } while (rc != -1);
        assert_int_equal(n, keep_count(pair.keep.keep));
        assert_true(n > 500);
        close_pair(&pair);
}

static void asks_to_leave(void **state)
{
        struct err err = {0};
        struct pair pair;

        (void)state;
        open_pair(&pair, 3);
        list(&pair);
        (void)hear_listed(&pair);
        assert_ok(serve_ask_to_leave(pair.serve, &err), &err);
        (void)hear(&pair, supervisor_leave_code);
        close_pair(&pair);
}

/* G-GUEST: a TCB that was broken into. Each row is what it sends after the hello. */
static void ask_it(struct pair *pair)
{
        struct err err = {0};

        assert_ok(serve_ask(pair->serve, &err), &err);
}

/* Once it listens, and not again before it has answered: what hangs is not flooded by us. */
static void asks_whether_it_lives(void **state)
{
        const struct supervisor_alive alive = {0};
        struct pair pair;

        (void)state;
        open_pair(&pair, 8);
        ask_it(&pair);
        hear_nothing(&pair);
        list(&pair);
        (void)hear_listed(&pair);
        for (int i = 0; i < 3; i++) {
                ask_it(&pair);
                ask_it(&pair);
                (void)hear(&pair, supervisor_ask_code);
                hear_nothing(&pair);
                assert_false(serve_take_answer(pair.serve));
                say(&pair, supervisor_alive_code, &alive, NULL);
                assert_int_equal(turn(&pair), WIRE_AGAIN);
                assert_true(serve_take_answer(pair.serve));
                assert_false(serve_take_answer(pair.serve));
        }
        close_pair(&pair);
}

static void tells_of_deaths_before_the_list_ends(void **state)
{
        struct supervisor_deaths deaths = {0};
        struct wire_frame frame;
        struct err err = {0};
        struct pair pair;

        (void)state;
        open_pair(&pair, 8);
        pair.keep.deaths = 4;
        pair.keep.last_death = 1000000007;
        (void)snprintf(pair.keep.death, sizeof(pair.keep.death), "did not answer");
        list(&pair);
        frame = hear(&pair, supervisor_deaths_code);
        assert_ok(wire_frame_decode(&frame, &deaths, sizeof(deaths), &err), &err);
        assert_int_equal(deaths.n, 4);
        assert_int_equal(deaths.last, 1000000007);
        assert_true(bytes_equal(deaths.why, wire_text("did not answer")));
        (void)hear_listed(&pair);
        close_pair(&pair);
}

static void cuts_off_what_makes_no_sense(void **state)
{
        static const struct {
                const char *name;
                bool listed; /* it asked for its list before */
                uint16_t code;
                size_t n_fds;
                size_t len;
                uint8_t payload[64];
        } rows[] = {
            {"drop before a list", false, supervisor_drop_code, 0, 5, {0, 0, 0, 1, 'a'}},
            {"done before a list", false, supervisor_done_code, 0, 0, {0}},
            {"second list", true, supervisor_list_code, 0, 0, {0}},
            {"our own message", true, supervisor_listed_code, 1, 12, {0}},
            {"no such message", true, 99, 0, 0, {0}},
            {"keep without a descriptor", true, supervisor_keep1_code, 0, 9, {0, 0, 0, 1, 'a'}},
            {"keep with one too many", true, supervisor_keep1_code, 2, 9, {0, 0, 0, 1, 'a'}},
            {"keep with one too few", true, supervisor_keep3_code, 2, 9, {0, 0, 0, 1, 'a'}},
            {"drop with a descriptor", true, supervisor_drop_code, 1, 5, {0, 0, 0, 1, 'a'}},
            {"keep without a name", true, supervisor_keep1_code, 1, 8, {0}},
            {"name longer than the frame", true, supervisor_keep1_code, 1, 9, {0, 0, 0, 60, 'a'}},
            {"name too long", true, supervisor_drop_code, 0, 64, {0, 0, 0, 65}},
            {"name of control characters", true, supervisor_drop_code, 0, 5, {0, 0, 0, 1, 7}},
            {"something left over", true, supervisor_drop_code, 0, 6, {0, 0, 0, 1, 'a', 0}},
            {"record without an end",
             true,
             supervisor_keep1_code,
             1,
             9,
             {0, 0, 0, 1, 'a', 0xff, 0xff, 0xff, 0xff}},
            {"half a key", true, supervisor_key_code, 0, 16, {0}},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                uint8_t frame[12 + 64] = {0};
                struct pair pair;
                int fds[3];
                int rc;

                open_pair(&pair, 10);
                if (rows[i].listed)
                        list(&pair);
                else /* the hello comes with the first message */
                        say(&pair, supervisor_list_code, &(const struct supervisor_list){0}, NULL);
                if (!rows[i].listed) {
                        /* Only the hello is to arrive: another channel, greeted by hand. */
                        static const uint8_t hello[] = "\0\0\0\x15\0\0\0\0\0\0\0\0\0\x01\0\x11"
                                                       "catena-supervisor";

                        lose_tcb(&pair);
                        connect_tcb(&pair);
                        assert_int_equal(send(wire_link_fd(pair.tcb), hello, sizeof(hello) - 1, 0),
                                         sizeof(hello) - 1);
                }
                for (size_t k = 0; k < ARRAY_SIZE(fds); k++)
                        fds[k] = open("/dev/null", O_RDONLY | O_CLOEXEC);
                frame[3] = (uint8_t)rows[i].len;
                frame[5] = (uint8_t)rows[i].code;
                memcpy(frame + 12, rows[i].payload, rows[i].len);
                assert_int_equal(
                    fd_send(wire_link_fd(pair.tcb), frame, 12 + rows[i].len, fds, rows[i].n_fds),
                    12 + rows[i].len);
                rc = turn(&pair);
                if (rc != ERR_MALFORMED)
                        fail_msg("%s: %d", rows[i].name, rc);
                assert_int_equal(keep_count(pair.keep.keep), 0);
                for (size_t k = 0; k < ARRAY_SIZE(fds); k++)
                        fd_close(&fds[k]);
                close_pair(&pair);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(keeps_from_one_to_the_next),
            cmocka_unit_test(forgets_all_at_an_end_in_order),
            cmocka_unit_test(tells_of_ends_after_the_list),
            cmocka_unit_test(refuses_what_is_too_much),
            cmocka_unit_test(lists_as_the_tcb_reads),
            cmocka_unit_test(asks_to_leave),
            cmocka_unit_test(asks_whether_it_lives),
            cmocka_unit_test(tells_of_deaths_before_the_list_ends),
            cmocka_unit_test(cuts_off_what_makes_no_sense),
        };

        return cmocka_run_group_tests_name("supervisor-serve", tests, NULL, NULL);
}
