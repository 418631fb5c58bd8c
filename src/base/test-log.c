/* The log, read from the other end of its stderr: whole lines, and nobody who waits for a reader.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "lib/test.h"

#define LINES 5000 /* more than any pipe or socket takes */

struct rig {
        int reader;
        int saved; /* the real stderr */
};

/* stderr becomes a pipe or a stream socket, as the journal's is. */
static void open_rig(struct rig *rig, bool is_socket)
{
        int ends[2];

        assert_int_equal(is_socket ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)
                                   : pipe2(ends, O_CLOEXEC),
                         0);
        rig->reader = ends[0];
        rig->saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        assert_true(rig->saved >= 0);
        assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
        fd_close(&ends[1]);
        assert_int_equal(fcntl(rig->reader, F_SETFL, O_NONBLOCK), 0);
}

static void close_rig(struct rig *rig)
{
        assert_int_equal(dup2(rig->saved, STDERR_FILENO), STDERR_FILENO);
        fd_close(&rig->saved);
        fd_close(&rig->reader);
}

/* What there is; each line must begin as a line does. Returns how many there are. */
static unsigned read_lines(const struct rig *rig, char *ret_last, size_t size)
{
        static char text[1 << 22];
        size_t len = 0;
        unsigned n = 0;

        for (;;) {
                ssize_t k = read(rig->reader, text + len, sizeof(text) - 1 - len);

                if (k <= 0)
                        break;
                len += (size_t)k;
        }
        text[len] = '\0';
        for (char *line = text; *line != '\0'; n++) {
                char *end = strchr(line, '\n');

                assert_non_null(end);
                *end = '\0';
                assert_memory_equal(line, "test: ", 6);
                (void)snprintf(ret_last, size, "%.120s", line);
                line = end + 1;
        }
        return n;
}

static void writes_whole_lines(void **state)
{
        struct err err = {0};
        struct rig rig;
        char last[256] = "";

        (void)state;
        open_rig(&rig, false);
        log_init("test", LOG_LEVEL_INFO);
        (void)err_set(&err, ERR_IO, "bad\nthing");
        log_debug(NULL, "nobody wants to know");
        log_error((&(struct log_fields){.vm = "web1", .err = &err}), "it is %d", 7);
        assert_int_equal(read_lines(&rig, last, sizeof(last)), 1);
        close_rig(&rig);
        assert_string_equal(last, "test: it is 7 vm=\"web1\" err=\"bad?thing\"");
}

static void nobody_waits_for_its_reader(void **state)
{
        char expected[128];
        char last[256] = "";

        (void)state;
        log_init("test", LOG_LEVEL_INFO);
        log_do_not_wait();
        for (int is_socket = 0; is_socket <= 1; is_socket++) {
                struct rig rig;
                unsigned n;

                open_rig(&rig, is_socket != 0);
                for (int i = 0; i < LINES; i++)
                        log_info(NULL, "%0100d", i);
                n = read_lines(&rig, last, sizeof(last));
                log_info(NULL, "here");
                assert_int_equal(read_lines(&rig, last, sizeof(last)), 1);
                (void)snprintf(expected, sizeof(expected),
                               "test: (%u lines before this one were lost) here", LINES - n);
                log_info(NULL, "there");
                assert_int_equal(read_lines(&rig, last + 128, 128), 1);
                close_rig(&rig);
                assert_in_range(n, 1, LINES - 1);
                assert_string_equal(last, expected);
                assert_string_equal(last + 128, "test: there");
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(writes_whole_lines),
            cmocka_unit_test(nobody_waits_for_its_reader),
        };

        return cmocka_run_group_tests_name("base-log", tests, NULL, NULL);
}
