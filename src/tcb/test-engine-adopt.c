/*
 * Taking over an engine that another TCB started, with the engine's end of the channel in our hands
 * (G-GUEST): what was meant for the one before, and one that breaks the protocol.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/test.h"
#include "tcb/engine-host.h"
#include "wire/link.h"

struct rig {
        sd_event *event;
        struct engine_host *host;
        struct wire_link *engine;
        pid_t pid;
        unsigned ready;
        unsigned persists;
        unsigned events;
        unsigned died;
        uint32_t init_count;
        struct err why;
};
static struct rig rig;

static void on_ready(void *user)
{
        (void)user;
        rig.ready++;
}

static int on_persist(void *user, const struct engine_persist *message, struct err *err)
{
        (void)user;
        (void)message;
        (void)err;
        rig.persists++;
        return 0;
}

static void on_event(void *user, enum engine_event_kind kind, uint32_t init_count)
{
        (void)user;
        (void)kind;
        rig.events++;
        rig.init_count = init_count;
}

static void on_died(void *user, const struct err *err)
{
        (void)user;
        rig.died++;
        rig.why = *err;
        engine_host_free(TAKE(rig.host));
}

static const struct engine_host_ops ops = {
    .ready = on_ready, .persist = on_persist, .event = on_event, .died = on_died};

static void turn(void)
{
        while (sd_event_run(rig.event, 0) > 0)
                ;
}

/* A process that only ends when it is killed: the engine's. */
static int start_process(void)
{
        int pidfd;

        rig.pid = fork();
        assert_true(rig.pid >= 0);
        /* It has no ends of the channel, and must not outlive a test that failed. */
        if (rig.pid == 0)
                (void)close_range(3, ~0U, 0);
        while (rig.pid == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0)
                (void)pause();
        pidfd = (int)syscall(SYS_pidfd_open, rig.pid, 0);
        assert_true(pidfd >= 0);
        return pidfd;
}

static void adopt(int core)
{
        struct spawn_child child = {.sibling = true};
        struct err err = {0};

        child.pidfd = start_process();
        child.pid = rig.pid;
        assert_ok(engine_host_adopt(&(struct engine_host_request){.event = rig.event, .ops = &ops},
                                    core, &child, &rig.host, &err),
                  &err);
}

static void say(uint16_t code, const void *message)
{
        struct err err = {0};

        assert_ok(wire_link_send(rig.engine, code, 0, 0, message, NULL, &err), &err);
}

static void persist(void)
{
        const struct engine_persist message = {
            .sequence = 1, .kind = ENGINE_BLOB_PERMANENT, .blob = wire_text("state")};

        say(engine_persist_code, &message);
}

static void event(unsigned kind, uint32_t count)
{
        const struct engine_event message = {.kind = (uint8_t)kind, .init_count = count};

        say(engine_event_code, &message);
}

static void adopted(uint64_t nonce, bool is_ready, uint8_t last)
{
        const struct engine_adopted message = {
            .nonce = nonce, .ready = is_ready, .event = last, .init_count = 7};

        say(engine_adopted_code, &message);
}

/* The channel as a supervisor gives it back: the hellos are behind it, on either end. */
static void set_up(void)
{
        struct err err = {0};
        int pair[2];

        rig = (struct rig){0};
        assert_true(sd_event_new(&rig.event) >= 0);
        assert_ok(fd_socketpair(SOCK_SEQPACKET, pair, &err), &err);
        assert_ok(fd_set_nonblocking(pair[0], &err), &err);
        assert_ok(fd_set_nonblocking(pair[1], &err), &err);
        assert_ok(wire_link_new(pair[1], &wire_engine_protocol, WIRE_SERVER, &rig.engine, &err),
                  &err);
        wire_link_resume(rig.engine);
        adopt(pair[0]);
}

static uint64_t take_nonce(void)
{
        struct engine_adopt message;
        struct wire_frame frame;
        struct err err = {0};

        turn();
        assert_ok(wire_link_receive(rig.engine, &frame, &err), &err);
        assert_int_equal(frame.message->code, engine_adopt_code);
        assert_ok(wire_frame_decode(&frame, &message, sizeof(message), &err), &err);
        assert_true(message.nonce != 0);
        return message.nonce;
}

/* Whoever lets an engine go has ended it. */
static void tear_down(void)
{
        int status = 0;

        engine_host_free(TAKE(rig.host));
        assert_int_equal(waitpid(rig.pid, &status, 0), rig.pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        wire_link_free(rig.engine);
        sd_event_unref(rig.event);
}

static void goes_on_after_its_answer(void **state)
{
        uint64_t nonce;

        (void)state;
        set_up();
        nonce = take_nonce();
        /* For the TCB before us, who is gone; and an answer that somebody else was to get. */
        persist();
        event(ENGINE_EVENT_INIT, 7);
        adopted(nonce + 1, true, ENGINE_EVENT_INIT);
        turn();
        assert_int_equal(rig.ready + rig.persists + rig.events + rig.died, 0);
        adopted(nonce, true, ENGINE_EVENT_INIT);
        turn();
        assert_int_equal(rig.ready, 1);
        assert_int_equal(rig.events, 1);
        assert_int_equal(rig.init_count, 7);
        persist(); /* once more */
        turn();
        assert_int_equal(rig.persists, 1);
        assert_int_equal(rig.died, 0);
        tear_down();
}

static void one_that_was_starting_says_when_it_is_ready(void **state)
{
        const struct engine_ready ready = {.sandbox = wire_text("landlock")};

        (void)state;
        set_up();
        adopted(take_nonce(), false, 0);
        turn();
        assert_int_equal(rig.ready, 0);
        say(engine_ready_code, &ready);
        turn();
        assert_int_equal(rig.ready, 1);
        assert_non_null(strstr(engine_host_degraded(rig.host), "landlock"));
        tear_down();
}

static void two_nonces_differ(void **state)
{
        uint64_t first;

        (void)state;
        set_up();
        first = take_nonce();
        tear_down();
        set_up();
        assert_true(take_nonce() != first);
        tear_down();
}

static void answers_twice(uint64_t nonce)
{
        adopted(nonce, true, 0);
        adopted(nonce, true, 0);
}

static void says_an_unknown_event(uint64_t nonce)
{
        adopted(nonce, true, 99);
}

static void counts_backwards(uint64_t nonce)
{
        adopted(nonce, true, ENGINE_EVENT_INIT);
        event(ENGINE_EVENT_INIT, 6);
}

static void is_ready_twice(uint64_t nonce)
{
        const struct engine_ready ready = {.sandbox = wire_text("")};

        adopted(nonce, true, 0);
        say(engine_ready_code, &ready);
}

static void saves_twice_at_once(uint64_t nonce)
{
        adopted(nonce, true, 0);
        persist();
        persist();
}

static void claims_what_is_no_ones_to_give(uint64_t nonce)
{
        const struct engine_claim claim = {0};

        adopted(nonce, true, 0);
        say(engine_claim_code, &claim);
}

static void talks_nonsense(uint64_t nonce)
{
        (void)nonce;
        assert_int_equal(send(wire_link_fd(rig.engine), "GET / HTTP/1.1", 14, 0), 14);
}

static void cuts_its_answer(uint64_t nonce)
{
        static const uint8_t half[] = "\0\0\0\x40\0\x1a\0\0\0\0\0\0half";

        (void)nonce;
        assert_int_equal(send(wire_link_fd(rig.engine), half, sizeof(half) - 1, 0),
                         sizeof(half) - 1);
}

static void fails(uint64_t nonce)
{
        const struct engine_failed failed = {.code = 0, .text = wire_text("scripted")};

        (void)nonce;
        say(engine_failed_code, &failed);
}

static void goes_away(uint64_t nonce)
{
        (void)nonce;
        wire_link_free(TAKE(rig.engine));
}

static void ends_who_breaks_the_protocol(void **state)
{
        static const struct {
                void (*act)(uint64_t nonce);
                int code;
        } rows[] = {
            {answers_twice, ERR_MALFORMED},
            {says_an_unknown_event, ERR_MALFORMED},
            {counts_backwards, ERR_MALFORMED},
            {is_ready_twice, ERR_MALFORMED},
            {saves_twice_at_once, ERR_MALFORMED},
            {claims_what_is_no_ones_to_give, ERR_MALFORMED},
            {talks_nonsense, ERR_MALFORMED},
            {cuts_its_answer, ERR_MALFORMED},
            {fails, ERR_FAILED},
            {goes_away, ERR_UNREACHABLE},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                set_up();
                rows[i].act(take_nonce());
                for (int k = 0; k < 500 && rig.died == 0; k++)
                        assert_true(sd_event_run(rig.event, 20000) >= 0);
                if (rig.died != 1 || rig.why.code != rows[i].code)
                        fail_msg("row %zu: %u, %d: %s", i, rig.died, rig.why.code, rig.why.text);
                assert_null(rig.host);
                tear_down();
        }
}

/* What is no channel of an engine's: it ends, and nothing hangs. */
static void a_channel_that_is_none(void **state)
{
        (void)state;
        for (int kind = 0; kind < 3; kind++) {
                struct err err = {0};
                int pair[2] = {-1, -1};

                rig = (struct rig){0};
                assert_true(sd_event_new(&rig.event) >= 0);
                if (kind == 0) {
                        assert_ok(fd_socketpair(SOCK_STREAM, pair, &err), &err);
                        assert_int_equal(send(pair[1], "what is this", 12, 0), 12);
                } else if (kind == 1) {
                        assert_ok(fd_socketpair(SOCK_SEQPACKET, pair, &err), &err);
                } else {
                        assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
                }
                if (kind != 0)
                        fd_close(&pair[1]);
                adopt(pair[0]);
                turn();
                assert_int_equal(rig.died, 1);
                assert_int_equal(rig.ready, 0);
                fd_close(&pair[1]);
                tear_down();
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(goes_on_after_its_answer),
            cmocka_unit_test(one_that_was_starting_says_when_it_is_ready),
            cmocka_unit_test(two_nonces_differ),
            cmocka_unit_test(ends_who_breaks_the_protocol),
            cmocka_unit_test(a_channel_that_is_none),
        };

        return cmocka_run_group_tests_name("tcb-engine-adopt", tests, NULL, NULL);
}
