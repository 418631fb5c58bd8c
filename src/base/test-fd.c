#include <fcntl.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "lib/test.h"

static void passes_descriptors(void **state)
{
        struct err err = {0};
        int pair[2];
        int pipe_fds[2];
        int got[FD_PASS_MAX];
        size_t n_got = 99;
        char text[8] = {0};

        (void)state;
        assert_ok(fd_socketpair(SOCK_SEQPACKET, pair, &err), &err);
        assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
        assert_int_equal(fd_send(pair[0], "hello", 5, &pipe_fds[1], 1), 5);
        assert_int_equal(fd_receive(pair[1], text, sizeof(text), got, &n_got), 5);
        assert_int_equal(n_got, 1);
        assert_true((fcntl(got[0], F_GETFD) & FD_CLOEXEC) != 0);
        assert_ok(fd_write_all(got[0], "x", 1, &err), &err);
        assert_ok(fd_read_exact(pipe_fds[0], text, 1, &err), &err);
        fd_close(&got[0]);
        fd_close(&pipe_fds[1]);
        assert_int_equal(fd_read_exact(pipe_fds[0], text, 1, &err), ERR_UNREACHABLE);
        fd_close(&pipe_fds[0]);
        fd_close(&pair[0]);
        assert_int_equal(fd_receive(pair[1], text, sizeof(text), got, &n_got), 0);
        fd_close(&pair[1]);
}

static void refuses_a_packet_that_does_not_fit(void **state)
{
        struct err err = {0};
        int pair[2];
        int got[FD_PASS_MAX];
        size_t n_got = 0;
        char text[2];

        (void)state;
        assert_ok(fd_socketpair(SOCK_SEQPACKET, pair, &err), &err);
        assert_int_equal(fd_send(pair[0], "hello", 5, NULL, 0), 5);
        assert_true(fd_receive(pair[1], text, sizeof(text), got, &n_got) < 0);
        fd_close(&pair[0]);
        fd_close(&pair[1]);
}

/* It closed with something of ours unread: the kernel says so first, once. */
static void hears_the_last_words(void **state)
{
        struct err err = {0};
        int pair[2];
        int got[FD_PASS_MAX];
        size_t n_got = 0;
        char text[8] = {0};

        (void)state;
        assert_ok(fd_socketpair(SOCK_SEQPACKET, pair, &err), &err);
        assert_int_equal(fd_send(pair[0], "last", 4, NULL, 0), 4);
        assert_int_equal(fd_send(pair[1], "unread", 6, NULL, 0), 6);
        fd_close(&pair[0]);
        assert_int_equal(fd_receive(pair[1], text, sizeof(text), got, &n_got), 4);
        assert_memory_equal(text, "last", 4);
        assert_int_equal(fd_receive(pair[1], text, sizeof(text), got, &n_got), 0);
        fd_close(&pair[1]);
}

static void closes_all_but_the_listed(void **state)
{
        int status = 1;
        pid_t pid = fork();

        (void)state;
        if (pid == 0) {
                struct err err = {0};
                int keep[2];
                bool right;

                for (int i = 0; i < 8; i++)
                        (void)!dup(0);
                keep[0] = fcntl(0, F_DUPFD, 50);
                keep[1] = fcntl(0, F_DUPFD, 20);
                right = fd_close_all_but(3, keep, 2, &err) == 0 && fcntl(keep[0], F_GETFD) >= 0 &&
                        fcntl(keep[1], F_GETFD) >= 0 && fcntl(0, F_GETFD) >= 0;
                for (int fd = 3; fd < 100; fd++)
                        if (fd != keep[0] && fd != keep[1])
                                right = right && fcntl(fd, F_GETFD) < 0;
                _exit(right ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(passes_descriptors),
            cmocka_unit_test(refuses_a_packet_that_does_not_fit),
            cmocka_unit_test(hears_the_last_words),
            cmocka_unit_test(closes_all_but_the_listed),
        };
        return cmocka_run_group_tests_name("base-fd", tests, NULL, NULL);
}
