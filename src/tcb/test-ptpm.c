/*
 * The TCB's side of the arbiter against a scripted one: this program itself, started through a
 * link named catena-arbiter. The script's name comes in the TCTI.
 */
#include <unistd.h>

#include "lib/double.h"
#include "lib/test.h"
#include "tcb/ptpm.h"

#define ASKED_MAX 256

/* The arbiter's side ------------------------------------------------------------------------ */

static void answer_error(const struct wire_frame *frame, uint32_t id)
{
        const struct ptpm_error error = {.code = (uint16_t)err_to_wire(ERR_TPM),
                                         .text = wire_text("scripted")};

        (void)frame;
        double_say(ptpm_error_code, id, &error);
}

static void answer_quote(const struct wire_frame *frame, uint32_t id)
{
        struct ptpm_quote question;
        struct ptpm_quoted answer = {.signature = wire_text("s")};

        double_read(frame, &question, sizeof(question));
        answer.attest = (struct bytes){question.qualifying, sizeof(question.qualifying)};
        double_say(ptpm_quoted_code, id, &answer);
}

static void answer_wrong_id(const struct wire_frame *frame, uint32_t id)
{
        answer_quote(frame, id + 1);
}

static void answer_twice(const struct wire_frame *frame, uint32_t id)
{
        answer_quote(frame, id);
        answer_quote(frame, id);
}

static void answer_wrong_message(const struct wire_frame *frame, uint32_t id)
{
        const struct ptpm_done done = {0};

        (void)frame;
        double_say(ptpm_done_code, id, &done);
}

static void die(const struct wire_frame *frame, uint32_t id)
{
        (void)frame;
        (void)id;
        _exit(0);
}

static void talk_nonsense(const struct wire_frame *frame, uint32_t id)
{
        (void)frame;
        (void)id;
        double_say_raw("GET /", 5);
}

static void stay_silent(const struct wire_frame *frame, uint32_t id)
{
        (void)frame;
        (void)id;
}

static const struct script {
        const char *name;
        void (*serve)(const struct wire_frame *frame, uint32_t id);
} scripts[] = {
    {"good", answer_quote},
    {"errors", answer_error},
    {"wrong-id", answer_wrong_id},
    {"twice", answer_twice},
    {"dies", die},
    {"nonsense", talk_nonsense},
    {"wrong", answer_wrong_message},
    {"silent", stay_silent},
};

static void serve(const struct wire_frame *frame)
{
        static const struct script *script;
        const struct ptpm_opened opened = {.kind = wire_text("swtpm"),
                                           .manufacturer = wire_text("IBM"),
                                           .ek_pub = wire_text("ek")};
        struct ptpm_open open;

        if (script != NULL) {
                script->serve(frame, frame->id);
                return;
        }
        double_read(frame, &open, sizeof(open));
        for (size_t i = 0; i < ARRAY_SIZE(scripts); i++)
                if (bytes_equal(open.tcti, wire_text(scripts[i].name)))
                        script = &scripts[i];
        if (bytes_equal(open.tcti, wire_text("silent")))
                return;
        if (script == NULL)
                answer_error(frame, frame->id);
        else
                double_say(ptpm_opened_code, frame->id, &opened);
}

/* The tests ---------------------------------------------------------------------------------- */

struct asked {
        unsigned replies;
        unsigned order; /* which reply of all it was */
        int code;
        uint8_t attest; /* first byte */
};

struct rig {
        sd_event *event;
        struct ptpm *ptpm;
        struct asked asked[ASKED_MAX];
        unsigned replies;
        unsigned expected;
        int lost;
};
static struct rig rig;

static void on_lost(void *user, const struct err *err)
{
        (void)user;
        rig.lost = err->code;
        (void)sd_event_exit(rig.event, 0);
}

static void on_reply(void *user, const struct wire_frame *frame, const struct err *err)
{
        struct asked *asked = user;
        struct ptpm_quoted quoted;
        struct err local = {0};

        asked->replies++;
        asked->order = ++rig.replies;
        if (frame != NULL && wire_frame_decode(frame, &quoted, sizeof(quoted), &local) == 0)
                asked->attest = quoted.attest.data[0];
        asked->code = err == NULL ? 0 : err->code;
        if (rig.replies == rig.expected)
                (void)sd_event_exit(rig.event, 0);
}

static void set_up(const char *script)
{
        static struct tcb_config config = {.ptpm_timeout = 60};
        struct err err = {0};

        memset(&rig, 0, sizeof(rig));
        (void)snprintf(config.programs, sizeof(config.programs), "%s", test_dir());
        (void)snprintf(config.tcti, sizeof(config.tcti), "%s", script);
        assert_true(sd_event_new(&rig.event) >= 0);
        assert_ok(ptpm_new(&config, true, &rig.ptpm, &err), &err);
        assert_string_equal(ptpm_kind(rig.ptpm), "swtpm");
        assert_string_equal(ptpm_manufacturer(rig.ptpm), "IBM");
        assert_ok(ptpm_attach(rig.ptpm, rig.event, on_lost, NULL, &err), &err);
}

static void tear_down(void)
{
        ptpm_free(rig.ptpm);
        sd_event_unref(rig.event);
}

static int ask(unsigned i, struct err *err)
{
        struct ptpm_quote question = {.pcr_mask = 1};

        question.qualifying[0] = (uint8_t)i;
        return ptpm_ask(rig.ptpm,
                        &(struct ptpm_question){ptpm_quote_code, &question, ptpm_quoted_code,
                                                on_reply, &rig.asked[i]},
                        err);
}

/* Several questions at once: each gets its own answer, in order. */
static void answers_each_of_many(void **state)
{
        struct err err = {0};

        (void)state;
        set_up("good");
        rig.expected = 10;
        for (unsigned i = 0; i < rig.expected; i++)
                assert_ok(ask(i, &err), &err);
        assert_int_equal(sd_event_loop(rig.event), 0);
        assert_int_equal(rig.lost, 0);
        for (unsigned i = 0; i < rig.expected; i++) {
                assert_int_equal(rig.asked[i].replies, 1);
                assert_int_equal(rig.asked[i].order, i + 1);
                assert_int_equal(rig.asked[i].attest, i);
        }
        tear_down();
}

static void an_error_is_an_answer(void **state)
{
        struct err err = {0};

        (void)state;
        set_up("errors");
        rig.expected = 2;
        assert_ok(ask(0, &err), &err);
        assert_ok(ask(1, &err), &err);
        assert_int_equal(sd_event_loop(rig.event), 0);
        assert_int_equal(rig.asked[0].code, ERR_TPM);
        assert_int_equal(rig.asked[1].code, ERR_TPM);
        assert_int_equal(rig.lost, 0);
        tear_down();
}

/* Whatever else it does, every question is answered once, and the TCB learns that it is lost. */
static void a_lost_arbiter_leaves_nobody_waiting(void **state)
{
        static const struct {
                const char *script;
                int code;
                bool first_is_answered;
        } rows[] = {
            {"dies", ERR_UNREACHABLE, false},
            {"wrong-id", ERR_MALFORMED, false},
            {"nonsense", ERR_MALFORMED, false},
            {"twice", ERR_MALFORMED, true},
        };

        (void)state;
        for (size_t r = 0; r < ARRAY_SIZE(rows); r++) {
                struct err err = {0};

                set_up(rows[r].script);
                for (unsigned i = 0; i < 3; i++)
                        assert_ok(ask(i, &err), &err);
                assert_int_equal(sd_event_loop(rig.event), 0);
                assert_int_equal(rig.lost, rows[r].code);
                for (unsigned i = 0; i < 3; i++)
                        assert_int_equal(rig.asked[i].replies, 1);
                assert_int_equal(rig.asked[0].code, rows[r].first_is_answered ? 0 : rows[r].code);
                assert_int_equal(rig.asked[2].code, rows[r].code);
                assert_int_equal(ask(3, &err), ERR_UNREACHABLE);
                tear_down();
        }
}

static void bounds_what_waits(void **state)
{
        struct err err = {0};
        unsigned n = 0;

        (void)state;
        set_up("good");
        while (n < ASKED_MAX && ask(n, &err) == 0)
                n++;
        assert_int_equal(err.code, ERR_LIMIT);
        assert_true(n >= 100 && n < ASKED_MAX);
        rig.expected = n;
        assert_int_equal(sd_event_loop(rig.event), 0);
        assert_int_equal(rig.replies, n);
        tear_down();
}

static void the_end_answers_what_waits(void **state)
{
        struct err err = {0};

        (void)state;
        set_up("good");
        assert_ok(ask(0, &err), &err);
        assert_ok(ask(1, &err), &err);
        tear_down();
        assert_int_equal(rig.asked[0].code, ERR_UNREACHABLE);
        assert_int_equal(rig.asked[1].replies, 1);
}

static void a_wrong_message_goes_to_who_asked(void **state)
{
        struct err err = {0};

        (void)state;
        set_up("wrong");
        rig.expected = 1;
        assert_ok(ask(0, &err), &err);
        assert_int_equal(sd_event_loop(rig.event), 0);
        assert_int_equal(rig.asked[0].code, ERR_MALFORMED);
        assert_int_equal(rig.asked[0].attest, 0);
        tear_down();
}

static void a_start_that_fails_says_why(void **state)
{
        static struct tcb_config config = {.tcti = "unknown-script", .ptpm_timeout = 60};
        struct ptpm *ptpm = NULL;
        struct err err = {0};

        (void)state;
        (void)snprintf(config.programs, sizeof(config.programs), "%s", test_dir());
        assert_int_equal(ptpm_new(&config, true, &ptpm, &err), ERR_TPM);
        assert_non_null(strstr(err.text, "scripted"));
        assert_null(ptpm);
        (void)snprintf(config.programs, sizeof(config.programs), "/nonexistent");
        err = (struct err){0};
        assert_int_equal(ptpm_new(&config, true, &ptpm, &err), ERR_NOT_FOUND);
}

static void a_tpm_that_hangs_ends_the_start(void **state)
{
        static struct tcb_config config = {.tcti = "silent", .ptpm_timeout = 1};
        struct ptpm *ptpm = NULL;
        struct err err = {0};

        (void)state;
        (void)snprintf(config.programs, sizeof(config.programs), "%s", test_dir());
        assert_int_equal(ptpm_new(&config, true, &ptpm, &err), ERR_TIMEOUT);
        assert_non_null(strstr(err.text, "did not answer ptpm_open within 1 s"));
        assert_null(ptpm);
}

static int link_ourselves(void **state)
{
        (void)state;
        return double_link(test_dir(), "catena-arbiter");
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(answers_each_of_many),
            cmocka_unit_test(an_error_is_an_answer),
            cmocka_unit_test(a_lost_arbiter_leaves_nobody_waiting),
            cmocka_unit_test(bounds_what_waits),
            cmocka_unit_test(the_end_answers_what_waits),
            cmocka_unit_test(a_wrong_message_goes_to_who_asked),
            cmocka_unit_test(a_start_that_fails_says_why),
            cmocka_unit_test(a_tpm_that_hangs_ends_the_start),
        };

        if (double_is(argc, argv, "catena-arbiter"))
                return double_serve(&wire_ptpm_protocol, serve);
        return cmocka_run_group_tests_name("tcb-ptpm", tests, link_ourselves, NULL);
}
