/*
 * The TCB's side of an engine against scripted hostile ones (G-GUEST): this program itself, started
 * through a link named catena-vtpm. The first byte of the uuid names the script.
 */
#include <limits.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fs.h"
#include "lib/double.h"
#include "lib/test.h"
#include "tcb/engine-host.h"

/* The engine's side -------------------------------------------------------------------------- */

static void say(uint16_t code, const void *message)
{
        double_say(code, 0, message);
}

static void ready(void)
{
        const struct engine_ready message = {.sandbox = wire_text("landlock")};

        say(engine_ready_code, &message);
}

static void persist(uint64_t sequence, unsigned kind, size_t len)
{
        static const uint8_t blob[16] = "state";
        const struct engine_persist message = {
            .sequence = sequence, .kind = (uint8_t)kind, .blob = {blob, len}};

        say(engine_persist_code, &message);
}

static void event(unsigned kind, uint32_t count)
{
        const struct engine_event message = {.kind = (uint8_t)kind, .init_count = count};

        say(engine_event_code, &message);
}

static void ready_twice(void)
{
        ready();
        ready();
}

static void saves_and_waits(void)
{
        ready();
        persist(1, ENGINE_BLOB_PERMANENT, 16);
}

static void saves_twice_at_once(void)
{
        persist(1, ENGINE_BLOB_PERMANENT, 16);
        persist(2, ENGINE_BLOB_PERMANENT, 16);
}

static void saves_with_number_0(void)
{
        persist(0, ENGINE_BLOB_PERMANENT, 16);
}

static void saves_an_unknown_kind(void)
{
        persist(1, 4, 16);
}

static void saves_nothing_as_permanent(void)
{
        persist(1, ENGINE_BLOB_PERMANENT, 0);
}

static void saves_an_empty_volatile_state(void)
{
        ready();
        persist(1, ENGINE_BLOB_VOLATILE, 0);
}

static void answers_unasked(void)
{
        const struct engine_response message = {.response = wire_text("x")};

        ready();
        say(engine_response_code, &message);
}

static void says_an_unknown_event(void)
{
        ready();
        event(99, 1);
}

static void counts_backwards(void)
{
        ready();
        event(ENGINE_EVENT_INIT, 7);
        event(ENGINE_EVENT_INIT, 6);
}

static void claims(void)
{
        const struct engine_claim message = {0};

        ready();
        say(engine_claim_code, &message);
}

static void claims_twice(void)
{
        claims();
        claims();
}

static void saves_its_vm(void)
{
        const struct engine_save message = {.volatile_state = wire_text("volatile")};

        ready();
        say(engine_save_code, &message);
}

static void restores_its_vm(void)
{
        const struct engine_restore message = {.token = wire_text("token")};

        ready();
        say(engine_restore_code, &message);
}

static void is_busy_unasked(void)
{
        const struct engine_busy message = {0};

        ready();
        say(engine_busy_code, &message);
}

static void fails_with_code_0(void)
{
        const struct engine_failed message = {.code = 0, .text = wire_text("scripted")};

        say(engine_failed_code, &message);
}

static void talks_nonsense(void)
{
        double_say_raw("GET / HTTP/1.1", 14);
}

static void dies_at_once(void)
{
        _exit(0);
}

static void dies_when_ready(void)
{
        ready();
        _exit(0);
}

static void (*const scripts[])(void) = {
    ready,
    claims,
    claims_twice,
    saves_its_vm,
    restores_its_vm,
    saves_and_waits,
    ready_twice,
    saves_twice_at_once,
    answers_unasked,
    saves_with_number_0,
    talks_nonsense,
    saves_an_unknown_kind,
    dies_at_once,
    says_an_unknown_event,
    counts_backwards,
    saves_nothing_as_permanent,
    dies_when_ready,
    fails_with_code_0,
    saves_an_empty_volatile_state,
    is_busy_unasked,
};

static size_t script_of(void (*script)(void))
{
        size_t i = 0;

        while (scripts[i] != script)
                i++;
        return i;
}

/* Every command is answered with its own bytes, whatever the script was. */
static void serve(const struct wire_frame *frame)
{
        struct engine_start start;
        struct engine_command command;
        struct engine_response echo;

        switch (frame->message->code) {
        case engine_start_code:
                double_read(frame, &start, sizeof(start));
                scripts[start.uuid[0]]();
                return;
        case engine_command_code:
                double_read(frame, &command, sizeof(command));
                echo.response = command.command;
                say(engine_response_code, &echo);
                return;
        default:
                return;
        }
}

/* The tests ---------------------------------------------------------------------------------- */

struct rig {
        sd_event *event;
        struct engine_host *host;
        int control[2];
        unsigned ready;
        unsigned persists;
        unsigned events;
        unsigned died;
        unsigned replies;
        unsigned asked;
        enum engine_question_kind kind;
        uint64_t sequence;
        size_t len;
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
        (void)err;
        rig.persists++;
        rig.sequence = message->sequence;
        rig.len = message->blob.len;
        return 0;
}

static void on_event(void *user, enum engine_event_kind kind, uint32_t init_count)
{
        (void)user;
        (void)kind;
        (void)init_count;
        rig.events++;
}

static void on_died(void *user, const struct err *err)
{
        (void)user;
        rig.died++;
        rig.why = *err;
        engine_host_free(TAKE(rig.host)); /* as instances do */
}

static int on_ask(void *user, const struct engine_question *question, struct err *err)
{
        (void)user;
        (void)err;
        rig.asked++;
        rig.kind = question->kind;
        rig.len = question->data.len;
        return 0;
}

static const struct engine_host_ops ops = {
    .ready = on_ready, .persist = on_persist, .event = on_event, .died = on_died};
static const struct engine_host_ops bound_ops = {
    .ready = on_ready, .persist = on_persist, .event = on_event, .died = on_died, .ask = on_ask};

static void set_up(void (*script)(void))
{
        static char path[PATH_MAX];
        uint8_t uuid[16] = {(uint8_t)script_of(script)};
        struct err err = {0};

        memset(&rig, 0, sizeof(rig));
        assert_ok(fs_join(path, sizeof(path), test_dir(), "catena-vtpm", &err), &err);
        assert_true(sd_event_new(&rig.event) >= 0);
        assert_ok(fd_socketpair(SOCK_STREAM, rig.control, &err), &err);
        assert_ok(engine_host_start(&(struct engine_host_request){.event = rig.event,
                                                                  .path = path,
                                                                  .uuid = uuid,
                                                                  .control = rig.control[1],
                                                                  .ops = &ops},
                                    &rig.host, &err),
                  &err);
}

static void run_until(const unsigned *counter)
{
        for (int i = 0; i < 500 && *counter == 0; i++)
                assert_true(sd_event_run(rig.event, 20000) >= 0);
        assert_int_equal(*counter, 1);
}

static void run_a_little(void)
{
        for (int i = 0; i < 10; i++)
                assert_true(sd_event_run(rig.event, 5000) >= 0);
}

static void tear_down(void)
{
        engine_host_free(rig.host);
        fd_close(&rig.control[0]);
        fd_close(&rig.control[1]);
        sd_event_unref(rig.event);
}

static void on_reply(void *user, struct bytes response)
{
        (void)user;
        assert_true(bytes_equal(response, wire_text("command")));
        rig.replies++;
}

static void starts_and_answers(void **state)
{
        struct err err = {0};

        (void)state;
        set_up(ready);
        run_until(&rig.ready);
        assert_non_null(strstr(engine_host_degraded(rig.host), "landlock"));
        assert_true(engine_host_pid(rig.host) > 0);
        assert_ok(engine_host_command(rig.host, wire_text("command"), on_reply, NULL, &err), &err);
        assert_int_equal(engine_host_command(rig.host, wire_text("command"), on_reply, NULL, &err),
                         ERR_CONFLICT);
        run_until(&rig.replies);
        assert_int_equal(rig.died, 0);
        tear_down();
}

static void hands_over_one_save_at_a_time(void **state)
{
        struct err err = {0};

        (void)state;
        set_up(saves_and_waits);
        run_until(&rig.persists);
        assert_true(rig.sequence == 1);
        assert_int_equal(rig.len, 16);
        assert_ok(engine_host_persisted(rig.host, rig.sequence, &err), &err);
        tear_down();
        set_up(saves_an_empty_volatile_state);
        run_until(&rig.persists);
        assert_int_equal(rig.len, 0);
        assert_int_equal(rig.died, 0);
        tear_down();
}

/* Questions reach the owner that expects them, and only that one. */
static void asks_its_owner(void **state)
{
        static const struct {
                void (*script)(void);
                enum engine_question_kind kind;
                size_t len;
        } rows[] = {
            {claims, ENGINE_ASKS_CLAIM, 0},
            {saves_its_vm, ENGINE_ASKS_SAVE, 8},
            {restores_its_vm, ENGINE_ASKS_RESTORE, 5},
        };
        const struct engine_decided decided = {0};
        struct err err = {0};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                set_up(rows[i].script);
                engine_host_hand_over(rig.host, &bound_ops, NULL);
                run_until(&rig.asked);
                assert_int_equal(rig.kind, rows[i].kind);
                assert_int_equal(rig.len, rows[i].len);
                assert_ok(engine_host_decide(rig.host, &decided, &err), &err);
                assert_int_equal(rig.died, 0);
                tear_down();
        }
        set_up(claims_twice);
        engine_host_hand_over(rig.host, &bound_ops, NULL);
        run_until(&rig.died);
        assert_int_equal(rig.asked, 1);
        assert_int_equal(rig.why.code, ERR_MALFORMED);
        tear_down();
}

static void ends_who_breaks_the_protocol(void **state)
{
        static const struct {
                void (*script)(void);
                int code;
                unsigned persists;
                unsigned events;
        } rows[] = {
            {claims, ERR_MALFORMED, 0, 0},
            {saves_its_vm, ERR_MALFORMED, 0, 0},
            {restores_its_vm, ERR_MALFORMED, 0, 0},
            {ready_twice, ERR_MALFORMED, 0, 0},
            {saves_twice_at_once, ERR_MALFORMED, 1, 0},
            {saves_with_number_0, ERR_MALFORMED, 0, 0},
            {saves_an_unknown_kind, ERR_MALFORMED, 0, 0},
            {saves_nothing_as_permanent, ERR_MALFORMED, 0, 0},
            {answers_unasked, ERR_MALFORMED, 0, 0},
            {is_busy_unasked, ERR_MALFORMED, 0, 0},
            {says_an_unknown_event, ERR_MALFORMED, 0, 0},
            {counts_backwards, ERR_MALFORMED, 0, 1},
            {talks_nonsense, ERR_MALFORMED, 0, 0},
            {fails_with_code_0, ERR_FAILED, 0, 0},
            {dies_at_once, ERR_UNREACHABLE, 0, 0},
            {dies_when_ready, ERR_UNREACHABLE, 0, 0},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                set_up(rows[i].script);
                run_until(&rig.died);
                run_a_little();
                assert_int_equal(rig.died, 1);
                assert_int_equal(rig.why.code, rows[i].code);
                assert_int_equal(rig.persists, rows[i].persists);
                assert_int_equal(rig.events, rows[i].events);
                tear_down();
        }
}

static void a_start_that_fails_leaves_nothing(void **state)
{
        struct engine_host *host = NULL;
        uint8_t uuid[16] = {0};
        struct err err = {0};

        (void)state;
        memset(&rig, 0, sizeof(rig));
        assert_true(sd_event_new(&rig.event) >= 0);
        assert_int_equal(engine_host_start(&(struct engine_host_request){.event = rig.event,
                                                                         .path = "/nonexistent",
                                                                         .uuid = uuid,
                                                                         .control = 0,
                                                                         .ops = &ops},
                                           &host, &err),
                         ERR_NOT_FOUND);
        assert_null(host);
        sd_event_unref(rig.event);
}

static int link_ourselves(void **state)
{
        (void)state;
        return double_link(test_dir(), "catena-vtpm");
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(starts_and_answers),
            cmocka_unit_test(hands_over_one_save_at_a_time),
            cmocka_unit_test(asks_its_owner),
            cmocka_unit_test(ends_who_breaks_the_protocol),
            cmocka_unit_test(a_start_that_fails_leaves_nothing),
        };

        if (double_is(argc, argv, "catena-vtpm"))
                return double_serve(&wire_engine_protocol, serve);
        return cmocka_run_group_tests_name("tcb-engine-host", tests, link_ourselves, NULL);
}
