/* A hub: all that is there in one turn, and whoever is served may end itself and others. */
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "lib/test.h"
#include "wire/engine.h"
#include "wire/event.h"

#define N_PEERS 100 /* more than a batch */

struct rig {
        sd_event *event;
        struct wire_hub *hub;
        unsigned served; /* times that all was */
        unsigned ready;
        int once; /* written to when all is served for the first time; -1: nothing */
};

struct peer {
        struct rig *rig;
        struct wire_hub_member member;
        int other;
        unsigned ready;
        struct peer *kills; /* removed when this one is served */
};

static void on_served(void *user)
{
        struct rig *rig = user;

        rig->served++;
        if (rig->once >= 0)
                assert_int_equal(write(rig->once, "x", 1), 1);
        rig->once = -1;
}

static void on_ready(void *user, uint32_t revents)
{
        struct peer *peer = user;
        char byte;

        assert_true((revents & EPOLLIN) != 0);
        assert_true(read(peer->member.fd, &byte, 1) >= 0);
        peer->ready++;
        peer->rig->ready++;
        if (peer->kills != NULL)
                wire_hub_remove(peer->rig->hub, &peer->kills->member);
}

static void set_up(struct rig *rig, struct peer *peers, size_t n)
{
        struct err err = {0};

        *rig = (struct rig){.once = -1};
        assert_true(sd_event_new(&rig->event) >= 0);
        assert_ok(wire_hub_new(rig->event, on_served, rig, &rig->hub, &err), &err);
        for (size_t i = 0; i < n; i++) {
                int pair[2];

                assert_ok(fd_socketpair(SOCK_SEQPACKET, pair, &err), &err);
                peers[i] =
                    (struct peer){.rig = rig,
                                  .member = {.fd = pair[0], .ready = on_ready, .user = &peers[i]},
                                  .other = pair[1]};
                assert_ok(wire_hub_watch(rig->hub, &peers[i].member, EPOLLIN, &err), &err);
        }
}

static void tear_down(struct rig *rig, struct peer *peers, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                wire_hub_remove(rig->hub, &peers[i].member);
                fd_close(&peers[i].member.fd);
                fd_close(&peers[i].other);
        }
        wire_hub_free(rig->hub);
        sd_event_unref(rig->event);
}

static void turn(struct rig *rig)
{
        assert_true(sd_event_run(rig->event, 0) >= 0);
}

static void all_are_served_in_one_turn(void **state)
{
        static struct peer peers[N_PEERS];
        struct rig rig;

        (void)state;
        set_up(&rig, peers, N_PEERS);
        turn(&rig);
        assert_int_equal(rig.served, 0);
        for (size_t i = 0; i < N_PEERS; i++)
                assert_int_equal(write(peers[i].other, "x", 1), 1);
        turn(&rig);
        for (size_t i = 0; i < N_PEERS; i++)
                assert_int_equal(peers[i].ready, 1);
        assert_int_equal(rig.served, 1);
        turn(&rig);
        assert_int_equal(rig.served, 1);
        tear_down(&rig, peers, N_PEERS);
}

/* What comes while it is told that all is served does not wait for the loop. */
static void more_is_served_in_the_same_turn(void **state)
{
        struct peer peers[2];
        struct rig rig;

        (void)state;
        set_up(&rig, peers, 2);
        rig.once = peers[1].other;
        assert_int_equal(write(peers[0].other, "x", 1), 1);
        turn(&rig);
        assert_int_equal(peers[0].ready, 1);
        assert_int_equal(peers[1].ready, 1);
        assert_int_equal(rig.served, 2);
        tear_down(&rig, peers, 2);
}

/* Each kills the other: whoever is served first survives, though both were in the batch. */
static void removed_ones_are_not_served(void **state)
{
        struct peer peers[2];
        struct rig rig;

        (void)state;
        set_up(&rig, peers, 2);
        peers[0].kills = &peers[1];
        peers[1].kills = &peers[0];
        for (size_t i = 0; i < 2; i++)
                assert_int_equal(write(peers[i].other, "x", 1), 1);
        turn(&rig);
        turn(&rig);
        assert_int_equal(rig.ready, 1);
        assert_int_equal(rig.served, 1);
        tear_down(&rig, peers, 2);
}

/* Descriptor numbers are used again at once; the old member's events must not reach the new one. */
static void a_number_is_used_again(void **state)
{
        struct peer peers[1];
        struct err err = {0};
        struct rig rig;
        int pair[2];

        (void)state;
        set_up(&rig, peers, 1);
        wire_hub_remove(rig.hub, &peers[0].member);
        wire_hub_remove(rig.hub, &peers[0].member);
        fd_close(&peers[0].member.fd);
        fd_close(&peers[0].other);
        assert_ok(fd_socketpair(SOCK_SEQPACKET, pair, &err), &err);
        peers[0].member.fd = pair[0];
        peers[0].other = pair[1];
        assert_ok(wire_hub_watch(rig.hub, &peers[0].member, EPOLLIN, &err), &err);
        turn(&rig);
        assert_int_equal(rig.ready, 0);
        assert_int_equal(write(pair[1], "x", 1), 1);
        turn(&rig);
        assert_int_equal(rig.ready, 1);
        tear_down(&rig, peers, 1);
}

/* ---- links in a hub ---- */

struct side {
        struct wire_event *we;
        unsigned frames;
        int closed_code;
        struct side *frees; /* by this one's next frame */
};

static int on_frame(void *user, struct wire_frame *frame, struct err *err)
{
        struct side *side = user;
        struct engine_persisted answer = {.sequence = 1};
        int rc;

        side->frames++;
        rc = wire_event_send(side->we, engine_persisted_code, frame->id, 0, &answer, NULL, err);
        if (side->frees != NULL) {
                wire_event_free(side->frees->we);
                side->frees->we = NULL;
        }
        return rc;
}

static void on_closed(void *user, const struct err *err)
{
        struct side *side = user;

        side->closed_code = err->code;
}

static const struct wire_event_ops ops = {on_frame, on_closed};

static void set_up_links(struct rig *rig, struct side *sides, struct wire_link **peers, size_t n)
{
        struct engine_persist persist = {.sequence = 1, .kind = 1};
        struct err err = {0};

        set_up(rig, NULL, 0);
        for (size_t i = 0; i < n; i++) {
                int pair[2];

                assert_ok(fd_socketpair(SOCK_SEQPACKET, pair, &err), &err);
                assert_ok(wire_event_new_in(rig->hub, pair[0], &wire_engine_protocol, WIRE_CLIENT,
                                            &ops, &sides[i], &sides[i].we, &err),
                          &err);
                assert_ok(
                    wire_link_new(pair[1], &wire_engine_protocol, WIRE_SERVER, &peers[i], &err),
                    &err);
                assert_ok(wire_link_send(peers[i], engine_persist_code, 0, 0, &persist, NULL, &err),
                          &err);
        }
}

static void links_answer_and_notice_the_end(void **state)
{
        struct wire_link *peers[2];
        struct side sides[2] = {0};
        struct wire_frame frame;
        struct err err = {0};
        struct rig rig;

        (void)state;
        set_up_links(&rig, sides, peers, 2);
        turn(&rig);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(sides[i].frames, 1);
                assert_ok(wire_link_receive(peers[i], &frame, &err), &err);
        }
        wire_link_free(peers[0]);
        turn(&rig);
        assert_int_equal(sides[0].closed_code, ERR_UNREACHABLE);
        turn(&rig); /* is told once */
        assert_int_equal(sides[1].closed_code, 0);
        wire_link_free(peers[1]);
        for (int i = 0; i < 2; i++)
                wire_event_free(sides[i].we);
        tear_down(&rig, NULL, 0);
}

static void a_frame_frees_its_own_link_and_another(void **state)
{
        struct wire_link *peers[2];
        struct side sides[2] = {0};
        struct rig rig;

        (void)state;
        set_up_links(&rig, sides, peers, 2);
        sides[0].frees = &sides[1];
        sides[1].frees = &sides[1];
        turn(&rig);
        turn(&rig);
        assert_int_equal(sides[0].frames, 1);
        assert_null(sides[1].we);
        for (int i = 0; i < 2; i++)
                wire_link_free(peers[i]);
        turn(&rig);
        assert_int_equal(sides[0].closed_code, ERR_UNREACHABLE);
        assert_int_equal(sides[1].closed_code, 0);
        wire_event_free(sides[0].we);
        tear_down(&rig, NULL, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(all_are_served_in_one_turn),
            cmocka_unit_test(more_is_served_in_the_same_turn),
            cmocka_unit_test(removed_ones_are_not_served),
            cmocka_unit_test(a_number_is_used_again),
            cmocka_unit_test(links_answer_and_notice_the_end),
            cmocka_unit_test(a_frame_frees_its_own_link_and_another),
        };
        return cmocka_run_group_tests_name("wire-hub", tests, NULL, NULL);
}
