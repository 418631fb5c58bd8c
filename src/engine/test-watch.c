#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/watch.h"
#include "lib/test.h"

static void set(struct watch *watch, int fd, uint32_t generation, uint32_t events)
{
        struct err err = {0};

        assert_ok(watch_set(watch, 1, &(struct watch_slot){fd, generation, events}, &err), &err);
}

static uint32_t wait_for(struct watch *watch)
{
        uint32_t revents[WATCH_SLOTS];
        struct err err = {0};
        int n;

        assert_ok(watch_wait(watch, 0, revents, &n, &err), &err);
        assert_int_equal(revents[0], 0);
        assert_int_equal(revents[2], 0);
        assert_int_equal(n, revents[1] != 0);
        return revents[1];
}

static void sees_input_output_and_the_end(void **state)
{
        struct watch watch;
        struct err err = {0};
        int pair[2];

        (void)state;
        assert_ok(watch_open(&watch, &err), &err);
        assert_ok(fd_socketpair(SOCK_STREAM, pair, &err), &err);
        set(&watch, pair[0], 1, EPOLLIN);
        assert_int_equal(wait_for(&watch), 0);
        assert_ok(fd_write_all(pair[1], "x", 1, &err), &err);
        assert_int_equal(wait_for(&watch), EPOLLIN);
        set(&watch, pair[0], 1, EPOLLOUT);
        assert_int_equal(wait_for(&watch), EPOLLOUT);
        fd_close(&pair[1]);
        assert_true((wait_for(&watch) & EPOLLHUP) != 0);
        fd_close(&pair[0]);
        watch_close(&watch);
}

/* The number is the same, the channel is another: it has to be watched anew. */
static void notices_that_a_number_was_used_again(void **state)
{
        struct watch watch;
        struct err err = {0};
        int first[2];
        int second[2];

        (void)state;
        assert_ok(watch_open(&watch, &err), &err);
        assert_ok(fd_socketpair(SOCK_STREAM, first, &err), &err);
        set(&watch, first[0], 1, EPOLLIN);
        assert_ok(fd_socketpair(SOCK_STREAM, second, &err), &err);
        assert_int_equal(dup2(second[0], first[0]), first[0]);
        set(&watch, first[0], 2, EPOLLIN);
        assert_ok(fd_write_all(second[1], "x", 1, &err), &err);
        assert_int_equal(wait_for(&watch), EPOLLIN);
        set(&watch, -1, 3, 0);
        fd_close(&first[0]);
        fd_close(&first[1]);
        fd_close(&second[0]);
        fd_close(&second[1]);
        assert_int_equal(wait_for(&watch), 0);
        watch_close(&watch);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(sees_input_output_and_the_end),
            cmocka_unit_test(notices_that_a_number_was_used_again),
        };
        return cmocka_run_group_tests_name("engine-watch", tests, NULL, NULL);
}
