#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "lib/test.h"
#include "vmm/qmp.h"

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n"
#define READY    GREETING "{\"return\": {}, \"id\": 1}\r\n"

static struct bytes text(const char *s)
{
        return (struct bytes){(const uint8_t *)s, strlen(s)};
}

static const struct {
        const char *line;
        int rc;
        enum qmp_kind kind;
        uint64_t id;
        enum qmp_event event;
        const char *text;
} lines[] = {
    {"{\"QMP\":{\"version\":{}}}", 0, QMP_GREETING, 0, QMP_EVENT_OTHER, ""},
    {"{\"return\":{},\"id\":7}", 0, QMP_REPLY, 7, QMP_EVENT_OTHER, ""},
    {"{\"return\":{\"status\":\"running\"},\"id\":7}", 0, QMP_REPLY, 7, QMP_EVENT_OTHER, "running"},
    {"{\"return\":{\"status\":5},\"id\":7}", 0, QMP_REPLY, 7, QMP_EVENT_OTHER, ""},
    {"{\"error\":{\"class\":\"GenericError\",\"desc\":\"no\\u001b[2J\"},\"id\":7}", 0, QMP_ERROR, 7,
     QMP_EVENT_OTHER, "GenericError: no?[2J"},
    {"{\"event\":\"STOP\",\"timestamp\":{}}", 0, QMP_EVENT, 0, QMP_EVENT_STOP, "STOP"},
    {"{\"event\":\"SHUTDOWN\",\"data\":{\"reason\":\"guest-shutdown\"}}", 0, QMP_EVENT, 0,
     QMP_EVENT_SHUTDOWN, "SHUTDOWN: guest-shutdown"},
    {"{\"event\":\"RESET\"}", 0, QMP_EVENT, 0, QMP_EVENT_RESET, "RESET"},
    {"{\"event\":\"RESUME\"}", 0, QMP_EVENT, 0, QMP_EVENT_RESUME, "RESUME"},
    {"{\"event\":\"RTC_CHANGE\"}", 0, QMP_EVENT, 0, QMP_EVENT_OTHER, "RTC_CHANGE"},
    {"", ERR_MALFORMED, 0, 0, 0, NULL},
    {"{", ERR_MALFORMED, 0, 0, 0, NULL},
    {"[]", ERR_MALFORMED, 0, 0, 0, NULL},
    {"{}", ERR_MALFORMED, 0, 0, 0, NULL},
    {"{\"return\":{}} x", ERR_MALFORMED, 0, 0, 0, NULL},
    {"{\"return\":{},\"return\":{}}", ERR_MALFORMED, 0, 0, 0, NULL},
    {"{\"return\":{},\"id\":\"1\"}", ERR_MALFORMED, 0, 0, 0, NULL},
    {"{\"return\":{},\"id\":-1}", ERR_MALFORMED, 0, 0, 0, NULL},
    {"{\"return\":{},\"id\":0}", ERR_MALFORMED, 0, 0, 0, NULL},
    {"{\"return\":{},\"id\":99999999999999999999}", ERR_MALFORMED, 0, 0, 0, NULL},
    {"{\"QMP\":[]}", ERR_MALFORMED, 0, 0, 0, NULL},
    {"{\"event\":5}", ERR_MALFORMED, 0, 0, 0, NULL},
    {"{\"event\":\"\"}", ERR_MALFORMED, 0, 0, 0, NULL},
    {"{\"error\":\"x\",\"id\":1}", ERR_MALFORMED, 0, 0, 0, NULL},
    {"{\"return\":\"\xff\"}", ERR_MALFORMED, 0, 0, 0, NULL},
};

static void parses_lines(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
                struct qmp_message m;
                struct err err = {0};

                memset(&m, 0xa5, sizeof(m));
                if (qmp_message_parse(text(lines[i].line), &m, &err) != lines[i].rc)
                        fail_msg("%s: %s", lines[i].line, err.text);
                if (lines[i].rc != 0) {
                        assert_int_equal(m.id, 0xa5a5a5a5a5a5a5a5);
                        continue;
                }
                assert_int_equal(m.kind, lines[i].kind);
                assert_int_equal(m.id, lines[i].id);
                assert_int_equal(m.event, lines[i].event);
                assert_string_equal(m.text, lines[i].text);
        }
}

static void refuses_deep_and_long_lines(void **state)
{
        size_t len = QMP_LINE_MAX + 1;
        char *line = malloc(len);
        struct qmp_message m;
        struct err err = {0};

        (void)state;
        assert_non_null(line);
        memset(line, '[', len);
        assert_int_equal(qmp_message_parse((struct bytes){(uint8_t *)line, len}, &m, &err),
                         ERR_LIMIT);
        assert_int_equal(qmp_message_parse((struct bytes){(uint8_t *)line, len - 1}, &m, &err),
                         ERR_MALFORMED);
        free(line);
}

struct seen {
        int ready, replies, events;
        bool ok;
        char text[QMP_TEXT_MAX];
};

static void on_ready(void *context)
{
        ((struct seen *)context)->ready++;
}

static void on_reply(void *context, enum qmp_command command, bool ok, const char *words)
{
        struct seen *seen = context;

        assert_int_equal(command, QMP_STOP);
        seen->replies++;
        seen->ok = ok;
        (void)snprintf(seen->text, sizeof(seen->text), "%s", words);
}

static void on_event(void *context, enum qmp_event event, const char *words)
{
        (void)event;
        (void)words;
        ((struct seen *)context)->events++;
}

static const struct qmp_handlers handlers = {on_ready, on_reply, on_event};

static struct qmp *connect_pair(struct seen *seen, int *ret_peer)
{
        struct err err = {0};
        struct qmp *qmp = NULL;
        int pair[2];

        assert_ok(fd_socketpair(SOCK_STREAM, pair, &err), &err);
        assert_ok(qmp_new(pair[0], &handlers, seen, &qmp, &err), &err);
        *ret_peer = pair[1];
        return qmp;
}

static void say(int peer, const char *words)
{
        struct err err = {0};

        assert_ok(fd_write_all(peer, words, strlen(words), &err), &err);
}

static void runs_a_session(void **state)
{
        struct seen seen = {0};
        struct err err = {0};
        char out[256] = {0};
        int peer = -1;
        struct qmp *qmp = connect_pair(&seen, &peer);

        (void)state;
        assert_ok(qmp_execute(qmp, QMP_STOP, &err), &err);
        assert_ok(qmp_process(qmp, &err), &err);
        assert_int_equal(qmp_events(qmp), 1 /* POLLIN: nothing is sent before the greeting */);
        say(peer, "{\"QMP\": {\"ver");
        assert_ok(qmp_process(qmp, &err), &err);
        say(peer, "sion\": {}}}\r\n");
        assert_ok(qmp_process(qmp, &err), &err);
        assert_true(read(peer, out, sizeof(out) - 1) > 0);
        assert_string_equal(out, "{\"execute\":\"qmp_capabilities\",\"id\":1}\n");
        assert_false(qmp_is_ready(qmp));
        say(peer, "{\"event\":\"RESUME\"}\r\n{\"return\":{},\"id\":1}\r\n");
        assert_ok(qmp_process(qmp, &err), &err);
        assert_true(qmp_is_ready(qmp));
        memset(out, 0, sizeof(out));
        assert_true(read(peer, out, sizeof(out) - 1) > 0);
        assert_string_equal(out, "{\"execute\":\"stop\",\"id\":2}\n");
        say(peer, "{\"error\":{\"class\":\"C\",\"desc\":\"D\"},\"id\":2}\r\n");
        assert_ok(qmp_process(qmp, &err), &err);
        assert_int_equal(seen.ready, 1);
        assert_int_equal(seen.events, 1);
        assert_int_equal(seen.replies, 1);
        assert_false(seen.ok);
        assert_string_equal(seen.text, "C: D");
        (void)close(peer);
        assert_int_equal(qmp_process(qmp, &err), ERR_UNREACHABLE);
        qmp_free(qmp);
}

static void calls(void **state)
{
        struct seen seen = {0};
        struct err err = {0};
        char words[QMP_TEXT_MAX] = "";
        int peer = -1;
        struct qmp *qmp = connect_pair(&seen, &peer);

        (void)state;
        say(peer, READY);
        assert_int_equal(qmp_call(qmp, QMP_QUERY_STATUS, 20, words, &err), ERR_TIMEOUT);
        /* The late answer goes to the handler that nobody waits with. */
        qmp_free(qmp);
        (void)close(peer);
        qmp = connect_pair(&seen, &peer);
        /* An answer to a command that was not sent yet is an error, even with the right id. */
        say(peer, GREETING "{\"return\":{},\"id\":1}\r\n{\"return\":{},\"id\":2}\r\n");
        assert_int_equal(qmp_call(qmp, QMP_QUERY_STATUS, 1000, words, &err), ERR_MALFORMED);
        qmp_free(qmp);
        (void)close(peer);
}

/* Only of a QEMU that was told to quit its end is an answer. */
static void calls_of_one_that_goes(void **state)
{
        static const struct {
                enum qmp_command command;
                int rc;
        } rows[] = {
            {QMP_QUIT, 0}, {QMP_QUERY_STATUS, ERR_UNREACHABLE}, {QMP_STOP, ERR_UNREACHABLE}};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct seen seen = {0};
                struct err err = {0};
                char words[QMP_TEXT_MAX] = "";
                int peer = -1;
                struct qmp *qmp = connect_pair(&seen, &peer);

                say(peer, READY);
                assert_int_equal(shutdown(peer, SHUT_WR), 0);
                assert_int_equal(qmp_call(qmp, rows[i].command, 5000, words, &err), rows[i].rc);
                qmp_free(qmp);
                (void)close(peer);
        }
}

static void protocol_errors_are_final(void **state)
{
        static const char *const rows[] = {
            GREETING GREETING,
            "{\"return\":{},\"id\":1}\r\n",
            GREETING "{\"return\":{},\"id\":2}\r\n",
            GREETING "{\"error\":{\"class\":\"C\"},\"id\":1}\r\n",
            READY "{\"return\":{},\"id\":1}\r\n",
            READY "{\"return\":{}}\r\n",
            READY "nonsense\r\n",
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct seen seen = {0};
                struct err err = {0};
                int peer = -1;
                struct qmp *qmp = connect_pair(&seen, &peer);

                say(peer, rows[i]);
                assert_int_equal(qmp_process(qmp, &err), ERR_MALFORMED);
                qmp_free(qmp);
                (void)close(peer);
        }
}

/* The number under which the capabilities are asked for anew, behind whatever line was begun. */
static unsigned long long read_number(int peer)
{
        static const char begin[] = "\n{\"execute\":\"qmp_capabilities\",\"id\":";
        char out[256] = {0};

        assert_true(read(peer, out, sizeof(out) - 1) > 0);
        assert_memory_equal(out, begin, sizeof(begin) - 1);
        return strtoull(out + sizeof(begin) - 1, NULL, 10);
}

static void answer_number(int peer, const char *fmt, unsigned long long number)
{
        char words[256];

        if (strcmp(fmt, "error") == 0)
                (void)snprintf(words, sizeof(words),
                               "{\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"again\"},"
                               "\"id\":%llu}\r\n",
                               number);
        else
                (void)snprintf(words, sizeof(words), "{\"return\":{},\"id\":%llu}\r\n", number);
        say(peer, words);
}

/* QEMU had another at this end: what it says to that one is not for us, what happens is. */
static void goes_on_for_another(void **state)
{
        static const struct {
                const char *left;
                int events;
                const char *answer;
        } rows[] = {
            {"", 0, "return"},
            {"", 0, "error"}, /* as QEMU does: it has them already */
            {"{\"return\":{},\"id\":1}\r\n{\"return\":{},\"id\":2}\r\n", 0, "error"},
            {"{\"error\":{\"class\":\"C\",\"desc\":\"D\"},\"id\":2}\r\n", 0, "error"},
            {"turn\":{},\"id\":2}\r\n", 0, "error"},
            {"{\"return\":{}}\r\n", 0, "error"},
            {GREETING, 0, "return"},
            {"{\"event\":\"RESUME\"}\r\n{\"event\":\"STOP\"}\r\n", 2, "error"},
            {"nonsense\r\n\r\n{}\r\n[]\r\n", 0, "error"},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct seen seen = {0};
                struct err err = {0};
                char out[256] = {0};
                int peer = -1;
                struct qmp *qmp = connect_pair(&seen, &peer);
                unsigned long long number;

                qmp_resume(qmp);
                assert_ok(qmp_execute(qmp, QMP_STOP, &err), &err);
                say(peer, rows[i].left);
                assert_ok(qmp_process(qmp, &err), &err);
                number = read_number(peer);
                answer_number(peer, "return", number - 1);
                answer_number(peer, "return", number + 1);
                assert_ok(qmp_process(qmp, &err), &err);
                assert_false(qmp_is_ready(qmp));
                assert_int_equal(seen.events, rows[i].events);
                answer_number(peer, rows[i].answer, number);
                assert_ok(qmp_process(qmp, &err), &err);
                assert_true(qmp_is_ready(qmp));
                assert_int_equal(seen.ready, 1);
                assert_int_equal(seen.replies, 0);
                /* What waited goes out now, and from here on nothing is forgiven. */
                assert_true(read(peer, out, sizeof(out) - 1) > 0);
                assert_non_null(strstr(out, "{\"execute\":\"stop\",\"id\":"));
                answer_number(peer, "return", number + 1);
                assert_ok(qmp_process(qmp, &err), &err);
                assert_int_equal(seen.replies, 1);
                answer_number(peer, "return", number + 1);
                assert_int_equal(qmp_process(qmp, &err), ERR_MALFORMED);
                qmp_free(qmp);
                (void)close(peer);
        }
}

/* A line without an end: more than there is room for. */
static void flood(struct qmp *qmp, int peer, char byte)
{
        char bytes[8192];
        struct err err = {0};
        int rc = 0;

        memset(bytes, byte, sizeof(bytes));
        for (int i = 0; i < 20 && rc == 0; i++) {
                assert_ok(fd_write_all(peer, bytes, sizeof(bytes), &err), &err);
                rc = qmp_process(qmp, &err);
        }
        assert_int_equal(rc, ERR_LIMIT);
}

/* One that never comes to our question, and one that is gone (G-GUEST). */
static void another_end_that_says_nothing(void **state)
{
        struct seen seen = {0};
        struct err err = {0};
        int peer = -1;
        struct qmp *qmp = connect_pair(&seen, &peer);

        (void)state;
        qmp_resume(qmp);
        flood(qmp, peer, 'x');
        qmp_free(qmp);
        (void)close(peer);
        qmp = connect_pair(&seen, &peer);
        qmp_resume(qmp);
        (void)close(peer);
        assert_int_equal(qmp_process(qmp, &err), ERR_UNREACHABLE);
        assert_int_equal(seen.ready, 0);
        qmp_free(qmp);
}

static void buffers_are_bounded(void **state)
{
        struct seen seen = {0};
        struct err err = {0};
        int peer = -1;
        struct qmp *qmp = connect_pair(&seen, &peer);

        (void)state;
        for (int i = 0; i < QMP_PENDING_MAX; i++)
                assert_ok(qmp_execute(qmp, QMP_STOP, &err), &err);
        assert_int_equal(qmp_execute(qmp, QMP_STOP, &err), ERR_LIMIT);
        flood(qmp, peer, ' ');
        qmp_free(qmp);
        (void)close(peer);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(parses_lines),
            cmocka_unit_test(refuses_deep_and_long_lines),
            cmocka_unit_test(runs_a_session),
            cmocka_unit_test(calls),
            cmocka_unit_test(calls_of_one_that_goes),
            cmocka_unit_test(protocol_errors_are_final),
            cmocka_unit_test(goes_on_for_another),
            cmocka_unit_test(another_end_that_says_nothing),
            cmocka_unit_test(buffers_are_bounded),
        };
        return cmocka_run_group_tests_name("vmm-qmp", tests, NULL, NULL);
}
