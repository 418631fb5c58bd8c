#include <sys/socket.h>

#include "lib/test.h"
#include "wire/engine.h"
#include "wire/event.h"

struct side {
        struct wire_event *we;
        sd_event *event;
        unsigned frames;
        int closed_code;
};

static int count_frame(void *user, struct wire_frame *frame, struct err *err)
{
        struct side *side = user;
        struct engine_persisted answer = {.sequence = 1};

        side->frames++;
        if (frame->message->code == engine_persist_code)
                return wire_event_send(side->we, engine_persisted_code, frame->id, 0, &answer, NULL,
                                       err);
        return 0;
}

static void end_loop(void *user, const struct err *err)
{
        struct side *side = user;

        side->closed_code = err->code;
        (void)sd_event_exit(side->event, 0);
}

static const struct wire_event_ops ops = {count_frame, end_loop};

static void answers_and_notices_the_end(void **state)
{
        static uint8_t blob[ENGINE_BLOB_MAX];
        struct engine_persist persist = {.sequence = 1, .kind = 1, .blob = {blob, sizeof(blob)}};
        struct wire_link *peer = NULL;
        struct wire_frame frame;
        struct side side = {0};
        struct err err = {0};
        int pair[2];

        (void)state;
        assert_true(sd_event_new(&side.event) >= 0);
        assert_ok(fd_socketpair(SOCK_STREAM, pair, &err), &err);
        assert_ok(wire_event_new(side.event, pair[0], &wire_engine_protocol, WIRE_CLIENT, &ops,
                                 &side, &side.we, &err),
                  &err);
        assert_ok(fd_set_nonblocking(pair[1], &err), &err);
        assert_ok(wire_link_new(pair[1], &wire_engine_protocol, WIRE_SERVER, &peer, &err), &err);
        for (int i = 0; i < 40; i++)
                assert_ok(wire_link_send(peer, engine_persist_code, 0, 0, &persist, NULL, &err),
                          &err);
        while (side.frames < 40) {
                assert_true(sd_event_run(side.event, 1000000) >= 0);
                assert_ok(wire_link_flush(peer, &err), &err);
        }
        for (int i = 0; i < 40; i++)
                assert_ok(wire_link_receive(peer, &frame, &err), &err);
        wire_link_free(peer);
        assert_true(sd_event_loop(side.event) >= 0);
        assert_int_equal(side.closed_code, ERR_UNREACHABLE);
        wire_event_free(side.we);
        sd_event_unref(side.event);
}

/* What an engine is sent and what it sends; the peer's end is a blocking link. */
static struct wire_link *open_side(struct side *side, sd_event *event)
{
        struct wire_link *peer = NULL;
        struct err err = {0};
        int pair[2];

        *side = (struct side){.event = event};
        assert_ok(fd_socketpair(SOCK_SEQPACKET, pair, &err), &err);
        assert_ok(wire_event_new(event, pair[0], &wire_engine_protocol, WIRE_CLIENT, &ops, side,
                                 &side->we, &err),
                  &err);
        assert_ok(wire_link_new(pair[1], &wire_engine_protocol, WIRE_SERVER, &peer, &err), &err);
        return peer;
}

static void send_events(struct wire_link *peer, unsigned n)
{
        const struct engine_event event = {.kind = ENGINE_EVENT_STARTUP};
        struct err err = {0};

        while (n-- > 0)
                assert_ok(wire_link_send(peer, engine_event_code, 0, 0, &event, NULL, &err), &err);
}

/* G-GUEST: whoever has sent much has one frame taken, then it is the next one's turn. */
static void links_take_turns(void **state)
{
        sd_event *event = NULL;
        struct side flooded;
        struct side other;
        struct wire_link *flood;
        struct wire_link *peer;

        (void)state;
        assert_true(sd_event_new(&event) >= 0);
        flood = open_side(&flooded, event);
        peer = open_side(&other, event);
        for (unsigned round = 1; round <= 20; round++) {
                const unsigned before = flooded.frames;

                send_events(flood, 20);
                send_events(peer, 1);
                while (other.frames < round)
                        assert_true(sd_event_run(event, 1000000) >= 0);
                assert_in_range(flooded.frames - before, 0, 3);
                while (flooded.frames < round * 20)
                        assert_true(sd_event_run(event, 1000000) >= 0);
        }
        wire_link_free(flood);
        wire_link_free(peer);
        wire_event_free(flooded.we);
        wire_event_free(other.we);
        sd_event_unref(event);
}

/* The last word of a process that ends: nothing has to be watched for it. */
static void a_loop_that_has_ended_sends_still(void **state)
{
        const struct engine_persisted word = {.sequence = 1};
        sd_event *event = NULL;
        struct wire_frame frame;
        struct wire_link *peer;
        struct side side;
        struct err err = {0};

        (void)state;
        assert_true(sd_event_new(&event) >= 0);
        peer = open_side(&side, event);
        assert_true(sd_event_exit(event, 0) >= 0);
        assert_true(sd_event_loop(event) >= 0);
        assert_ok(wire_event_send(side.we, engine_persisted_code, 0, 0, &word, NULL, &err), &err);
        assert_ok(wire_link_receive(peer, &frame, &err), &err);
        assert_int_equal(frame.message->code, engine_persisted_code);
        wire_link_free(peer);
        wire_event_free(side.we);
        sd_event_unref(event);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(answers_and_notices_the_end),
            cmocka_unit_test(links_take_turns),
            cmocka_unit_test(a_loop_that_has_ended_sends_still),
        };
        return cmocka_run_group_tests_name("wire-event", tests, NULL, NULL);
}
