/* Waiting without sleep: it ends, and learns when it is worth nothing. */
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/busy-wait.h"
#include "lib/test.h"

struct pair {
        int fds[2];
};

static void *answer(void *user)
{
        const struct pair *pair = user;

        assert_int_equal(write(pair->fds[1], "x", 1), 1);
        return NULL;
}

static struct pair pair_make(void)
{
        struct pair pair;

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.fds), 0);
        return pair;
}

static void pair_close(struct pair *pair)
{
        (void)close(pair->fds[0]);
        (void)close(pair->fds[1]);
}

static void test_answer_is_seen_and_stays(void **state)
{
        struct pair pair = pair_make();
        struct busy_wait wait = {0};
        char byte = 0;

        (void)state;
        (void)answer(&pair);
        assert_true(busy_wait_answer(&wait, pair.fds[0]));
        assert_true(busy_wait_answer(&wait, pair.fds[0]));
        assert_int_equal(read(pair.fds[0], &byte, 1), 1);
        assert_int_equal(byte, 'x');
        pair_close(&pair);
}

static void test_end_of_the_peer_is_seen(void **state)
{
        struct pair pair = pair_make();
        struct busy_wait wait = {0};

        (void)state;
        (void)close(pair.fds[1]);
        assert_true(busy_wait_answer(&wait, pair.fds[0]));
        (void)close(pair.fds[0]);
}

static void sleeps_for(struct busy_wait *wait, int fd, unsigned answers)
{
        assert_int_equal(wait->left, answers);
        for (unsigned i = 0; i < answers; i++)
                assert_false(busy_wait_answer(wait, fd));
        assert_int_equal(wait->left, 0);
}

/* Nobody answers: the time is spent ever more rarely, until there was a quick answer again. */
static void test_slow_answers_are_slept_for(void **state)
{
        struct pair pair = pair_make();
        struct busy_wait wait = {0};
        unsigned answers = BUSY_WAIT_PAUSE_MIN;

        (void)state;
        for (; answers < BUSY_WAIT_PAUSE_MAX; answers *= 2) {
                assert_false(busy_wait_answer(&wait, pair.fds[0]));
                sleeps_for(&wait, pair.fds[0], answers);
        }
        for (int i = 0; i < 2; i++) {
                assert_false(busy_wait_answer(&wait, pair.fds[0]));
                sleeps_for(&wait, pair.fds[0], BUSY_WAIT_PAUSE_MAX);
        }
        (void)answer(&pair);
        assert_true(busy_wait_answer(&wait, pair.fds[0]));
        assert_int_equal(read(pair.fds[0], &(char){0}, 1), 1);
        assert_false(busy_wait_answer(&wait, pair.fds[0]));
        sleeps_for(&wait, pair.fds[0], BUSY_WAIT_PAUSE_MIN);
        pair_close(&pair);
}

/* Whichever way it ends, what the other thread wrote is there for the caller's read. */
static void test_answer_of_another_thread(void **state)
{
        struct busy_wait wait = {0};

        (void)state;
        for (int i = 0; i < 200; i++) {
                struct pair pair = pair_make();
                pthread_t thread;
                char byte = 0;

                assert_int_equal(pthread_create(&thread, NULL, answer, &pair), 0);
                (void)busy_wait_answer(&wait, pair.fds[0]);
                assert_int_equal(read(pair.fds[0], &byte, 1), 1);
                assert_int_equal(pthread_join(thread, NULL), 0);
                pair_close(&pair);
        }
}

/* Seen and not taken: the next epoll_wait() says it again. */
static void test_event_is_seen_and_stays(void **state)
{
        struct pair pair = pair_make();
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = 7};
        struct busy_wait wait = {0};
        int epoll = epoll_create1(EPOLL_CLOEXEC);

        (void)state;
        assert_true(epoll >= 0);
        assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, pair.fds[0], &event), 0);
        assert_false(busy_wait_event(&wait, epoll));
        wait = (struct busy_wait){0};
        (void)answer(&pair);
        assert_true(busy_wait_event(&wait, epoll));
        event = (struct epoll_event){0};
        assert_int_equal(epoll_wait(epoll, &event, 1, 0), 1);
        assert_int_equal(event.data.u32, 7);
        (void)close(epoll);
        pair_close(&pair);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_answer_is_seen_and_stays),
            cmocka_unit_test(test_end_of_the_peer_is_seen),
            cmocka_unit_test(test_slow_answers_are_slept_for),
            cmocka_unit_test(test_answer_of_another_thread),
            cmocka_unit_test(test_event_is_seen_and_stays),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
