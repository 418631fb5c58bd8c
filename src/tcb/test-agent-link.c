/*
 * The channel to a guest's agent against a hostile one (G-GUEST): whatever it says, every question
 * is answered once, and a guest that begins anew is heard again.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/test.h"
#include "tcb/agent-link.h"
#include "wire/link.h"

struct rig {
        sd_event *event;
        struct agent_link *link;
        struct wire_link *agent; /* an agent that keeps to the protocol, or none */
        int fd;                  /* the guest's end */
        unsigned hellos;
        unsigned closed;
        int closed_code;
        unsigned replies;
        unsigned good;
        int code;     /* of the last reply */
        bool adopted; /* the next that is there is the one of before */
};
static struct rig rig;

static void on_hello(void *user, const char *version)
{
        (void)user;
        assert_string_equal(version, rig.adopted ? "of before" : "1");
        rig.adopted = false;
        rig.hellos++;
}

static void on_closed(void *user, const struct err *err)
{
        (void)user;
        rig.closed++;
        rig.closed_code = err->code;
}

static const struct agent_link_ops ops = {on_hello, on_closed};

static void turn(void)
{
        for (int i = 0; i < 40; i++)
                assert_true(sd_event_run(rig.event, 1000) >= 0);
}

static void set_up(void)
{
        struct err err = {0};
        int pair[2];

        memset(&rig, 0, sizeof(rig));
        assert_true(sd_event_new(&rig.event) >= 0);
        assert_ok(fd_socketpair(SOCK_STREAM, pair, &err), &err);
        rig.fd = pair[1];
        assert_ok(agent_link_new(rig.event, pair[0], &ops, NULL, &rig.link, &err), &err);
}

static void tear_down(void)
{
        agent_link_free(rig.link);
        wire_link_free(rig.agent);
        fd_close(&rig.fd);
        sd_event_unref(rig.event);
}

/* An agent starts on the guest's end: link and hello. */
static void start_agent(void)
{
        const struct agent_hello hello = {.version = wire_text("1")};
        struct err err = {0};
        int fd = dup(rig.fd);

        assert_true(fd >= 0);
        wire_link_free(rig.agent);
        assert_ok(fd_set_nonblocking(fd, &err), &err);
        assert_ok(wire_link_new(fd, &wire_agent_protocol, WIRE_SERVER, &rig.agent, &err), &err);
        assert_ok(wire_link_send(rig.agent, agent_hello_code, 0, 0, &hello, NULL, &err), &err);
        turn();
}

static void on_reply(void *user, const struct wire_frame *frame, const struct err *err)
{
        (void)user;
        rig.replies++;
        rig.good += frame != NULL;
        rig.code = err == NULL ? 0 : err->code;
}

static int ask(struct err *err)
{
        const struct agent_identify message = {0};

        return agent_link_ask(rig.link,
                              &(struct agent_question){agent_identify_code, &message,
                                                       agent_identity_code, on_reply, NULL},
                              err);
}

/* The next question as the agent sees it. */
static uint32_t take_question(void)
{
        struct wire_frame frame;
        struct err err = {0};

        turn();
        assert_ok(wire_link_receive(rig.agent, &frame, &err), &err);
        assert_int_equal(frame.message->code, agent_identify_code);
        return frame.id;
}

static void answer(uint32_t id)
{
        const struct agent_identity identity = {.ek_pub = wire_text("ek")};
        struct err err = {0};

        assert_ok(wire_link_send(rig.agent, agent_identity_code, id, 0, &identity, NULL, &err),
                  &err);
        turn();
}

static void asks_one_after_another(void **state)
{
        struct err err = {0};

        (void)state;
        set_up();
        assert_int_equal(ask(&err), ERR_UNREACHABLE); /* nobody there yet */
        start_agent();
        assert_true(agent_link_is_up(rig.link));
        assert_ok(ask(&err), &err);
        assert_ok(ask(&err), &err);
        for (unsigned i = 1; i <= 2; i++) {
                answer(take_question());
                assert_int_equal(rig.replies, i);
                assert_int_equal(rig.good, i);
        }
        tear_down();
}

static void late_and_unasked_answers_are_dropped(void **state)
{
        struct err err = {0};
        uint32_t id;

        (void)state;
        set_up();
        start_agent();
        answer(7); /* nobody asked */
        assert_ok(ask(&err), &err);
        id = take_question();
        answer(id + 1);
        answer(id - 1);
        assert_int_equal(rig.replies, 0);
        answer(id);
        answer(id); /* again */
        assert_int_equal(rig.replies, 1);
        assert_int_equal(rig.good, 1);
        assert_int_equal(rig.closed, 0);
        tear_down();
}

static void a_wrong_message_is_a_failure(void **state)
{
        const struct agent_activated wrong = {.credential = wire_text("x")};
        const struct agent_error refusal = {.code = 1, .text = wire_text("no")};
        struct err err = {0};

        (void)state;
        set_up();
        start_agent();
        assert_ok(ask(&err), &err);
        assert_ok(
            wire_link_send(rig.agent, agent_activated_code, take_question(), 0, &wrong, NULL, &err),
            &err);
        turn();
        assert_int_equal(rig.code, ERR_MALFORMED);
        assert_ok(ask(&err), &err);
        assert_ok(
            wire_link_send(rig.agent, agent_error_code, take_question(), 0, &refusal, NULL, &err),
            &err);
        turn();
        assert_int_equal(rig.code, ERR_FAILED);
        assert_int_equal(rig.replies, 2);
        tear_down();
}

/* The guest was reset, or its agent died and came back, and QEMU kept the channel. */
static void another_agent_on_the_same_channel_is_heard(void **state)
{
        struct err err = {0};

        (void)state;
        set_up();
        start_agent();
        assert_ok(ask(&err), &err);
        assert_ok(ask(&err), &err);
        (void)take_question();
        start_agent();
        assert_int_equal(rig.hellos, 2);
        assert_int_equal(rig.replies, 2); /* the old agent's questions failed */
        assert_int_equal(rig.good, 0);
        assert_int_equal(rig.closed, 0);
        assert_ok(ask(&err), &err);
        answer(take_question()); /* the new one was greeted: it gets a hello of its own */
        assert_int_equal(rig.good, 1);
        tear_down();
}

/* Reset in the middle of a frame: what is left of it does not swallow the next hello. */
static void a_reset_in_mid_frame_is_survived(void **state)
{
        struct err err = {0};

        (void)state;
        set_up();
        start_agent();
        assert_ok(ask(&err), &err);
        assert_ok(fd_write_all(rig.fd, "\0\0\4\0\0\x11\0\0\0\0\0\1half", 16, &err), &err);
        turn();
        agent_link_reset(rig.link);
        assert_int_equal(rig.replies, 1);
        assert_int_equal(rig.code, ERR_UNREACHABLE);
        assert_int_equal(rig.closed, 1);
        assert_false(agent_link_is_up(rig.link));
        start_agent();
        assert_true(agent_link_is_up(rig.link));
        assert_int_equal(rig.hellos, 2);
        tear_down();
}

static void nonsense_costs_the_guest_its_questions_only(void **state)
{
        static const struct {
                const char *data;
                size_t len;
        } rows[] = {
            {"GET / HTTP/1.1\r\n\r\n", 18},
            {"\xff\xff\xff\xff\0\x11\0\0\0\0\0\1", 12}, /* a frame without end */
            {"\0\0\0\0\0\1\0\0\0\0\0\1", 12},           /* our own side's message */
            {"\0\0\0\0\0\0\0\0\0\0\0\0", 12},           /* an empty hello */
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct err err = {0};

                set_up();
                start_agent();
                assert_ok(ask(&err), &err);
                (void)take_question();
                assert_ok(fd_write_all(rig.fd, rows[i].data, rows[i].len, &err), &err);
                turn();
                assert_int_equal(rig.replies, 1);
                assert_int_equal(rig.good, 0);
                start_agent();
                assert_int_equal(rig.hellos, 2);
                assert_true(agent_link_is_up(rig.link));
                tear_down();
        }
}

/* The TCB dies: its end of the channel goes to another one. */
static void adopt(void)
{
        struct err err = {0};
        int fd = fcntl(agent_link_fd(rig.link), F_DUPFD_CLOEXEC, 3);

        assert_true(fd >= 0);
        agent_link_free(rig.link);
        rig.hellos = rig.replies = rig.good = 0;
        assert_ok(agent_link_adopt(rig.event, fd, &ops, NULL, &rig.link, &err), &err);
        assert_false(agent_link_is_up(rig.link));
}

static void an_agent_that_was_there_is_taken_over(void **state)
{
        struct err err = {0};
        uint32_t before;

        (void)state;
        set_up();
        start_agent();
        assert_ok(ask(&err), &err);
        before = take_question();
        adopt();
        assert_int_equal(ask(&err), ERR_UNREACHABLE); /* not known yet */
        rig.adopted = true;
        answer(before); /* what the other one asked */
        assert_false(agent_link_is_up(rig.link));
        answer(take_question());
        assert_int_equal(rig.hellos, 1);
        assert_true(agent_link_is_up(rig.link));
        assert_int_equal(rig.replies, 0);
        assert_ok(ask(&err), &err);
        before = take_question();
        answer(before + 1);
        assert_int_equal(rig.replies, 0);
        answer(before);
        assert_int_equal(rig.good, 1);
        assert_int_equal(rig.closed, 0);
        tear_down();
}

static void an_agent_that_refuses_is_there_too(void **state)
{
        const struct agent_error refusal = {.code = 1, .text = wire_text("no")};
        struct err err = {0};

        (void)state;
        set_up();
        start_agent();
        adopt();
        rig.adopted = true;
        assert_ok(
            wire_link_send(rig.agent, agent_error_code, take_question(), 0, &refusal, NULL, &err),
            &err);
        turn();
        assert_true(agent_link_is_up(rig.link));
        assert_int_equal(rig.closed, 0);
        tear_down();
}

/* Half a frame for the TCB before, of which the rest comes later; and nobody there at all. */
static void what_was_begun_for_another_is_skipped(void **state)
{
        struct err err = {0};

        (void)state;
        set_up();
        start_agent();
        assert_ok(fd_write_all(rig.fd, "\0\0\0\x20\0\x11\0\0\0\0\0\1half", 16, &err), &err);
        adopt();
        assert_ok(fd_write_all(rig.fd, "and the other half of its frame.", 32, &err), &err);
        turn();
        assert_false(agent_link_is_up(rig.link));
        assert_int_equal(rig.closed, 0);
        rig.adopted = true;
        answer(take_question());
        assert_true(agent_link_is_up(rig.link));
        tear_down();

        set_up();
        adopt();
        turn();
        assert_false(agent_link_is_up(rig.link));
        start_agent(); /* the guest comes to it only now */
        assert_int_equal(rig.hellos, 1);
        assert_true(agent_link_is_up(rig.link));
        tear_down();
}

/* G: a guest that never stops to talk nonsense is a guest without an agent. */
static void nonsense_for_the_next_tcb(void **state)
{
        static char much[4096];

        (void)state;
        set_up();
        start_agent();
        adopt();
        for (int i = 0; i < 64; i++) {
                struct err err = {0};

                memset(much, i, sizeof(much));
                assert_ok(fd_write_all(rig.fd, much, sizeof(much), &err), &err);
                turn();
        }
        assert_false(agent_link_is_up(rig.link));
        assert_int_equal(rig.hellos, 0);
        start_agent();
        assert_true(agent_link_is_up(rig.link));
        tear_down();
}

static void the_end_of_qemu_answers_everybody(void **state)
{
        struct err err = {0};

        (void)state;
        set_up();
        start_agent();
        assert_ok(ask(&err), &err);
        assert_ok(ask(&err), &err);
        wire_link_free(rig.agent);
        rig.agent = NULL;
        fd_close(&rig.fd);
        turn();
        assert_int_equal(rig.replies, 2);
        assert_int_equal(rig.closed, 1);
        assert_int_equal(rig.closed_code, ERR_UNREACHABLE);
        assert_int_equal(ask(&err), ERR_UNREACHABLE);
        tear_down();
}

static void bounds_what_waits_and_answers_it_at_the_end(void **state)
{
        struct err err = {0};
        unsigned n = 0;

        (void)state;
        set_up();
        start_agent();
        while (n < 1000 && ask(&err) == 0)
                n++;
        assert_int_equal(err.code, ERR_LIMIT);
        tear_down();
        assert_int_equal(rig.replies, n);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(asks_one_after_another),
            cmocka_unit_test(late_and_unasked_answers_are_dropped),
            cmocka_unit_test(a_wrong_message_is_a_failure),
            cmocka_unit_test(another_agent_on_the_same_channel_is_heard),
            cmocka_unit_test(a_reset_in_mid_frame_is_survived),
            cmocka_unit_test(nonsense_costs_the_guest_its_questions_only),
            cmocka_unit_test(an_agent_that_was_there_is_taken_over),
            cmocka_unit_test(an_agent_that_refuses_is_there_too),
            cmocka_unit_test(what_was_begun_for_another_is_skipped),
            cmocka_unit_test(nonsense_for_the_next_tcb),
            cmocka_unit_test(the_end_of_qemu_answers_everybody),
            cmocka_unit_test(bounds_what_waits_and_answers_it_at_the_end),
        };
        return cmocka_run_group_tests_name("tcb-agent-link", tests, NULL, NULL);
}
