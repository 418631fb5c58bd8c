/* Where a vTPM's socket may be, and what becomes of what is there already. */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "lib/test.h"
#include "tcb/socket-path.h"

static char dir[64];

static int set_up(void **state)
{
        (void)state;
        (void)snprintf(dir, sizeof(dir), "/tmp/catena-test-XXXXXX");
        return mkdtemp(dir) == NULL;
}

static int tear_down(void **state)
{
        struct err err = {0};

        (void)state;
        return fs_remove_tree(dir, &err);
}

static struct socket_path at(const char *name)
{
        struct socket_path socket = {.uid = geteuid(), .gid = getegid(), .mode = 0600};

        (void)snprintf(socket.path, sizeof(socket.path), "%s/%s", dir, name);
        return socket;
}

static void takes_plain_absolute_paths_only(void **state)
{
        static const struct {
                const char *path;
                int rc;
        } rows[] = {
            {"/run/vm/tpm.sock", 0},
            {"/s", 0},
            {"", ERR_USAGE},
            {"/", ERR_USAGE},
            {"tpm.sock", ERR_USAGE},
            {"./tpm.sock", ERR_USAGE},
            {"/run/../etc/x", ERR_USAGE},
            {"/run/./x", ERR_USAGE},
            {"/run//x", ERR_USAGE},
            {"/run/x/", ERR_USAGE},
            {"/run/..", ERR_USAGE},
            {"/run/a,server=on", ERR_USAGE},
            {"/run/a b", ERR_USAGE},
            {"/run/a\nb", ERR_USAGE},
            {"/run/\"x", ERR_USAGE},
            {"/run/<x", ERR_USAGE},
            {"/run/...", 0},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct socket_path socket = {.mode = 0600};
                struct err err = {0};

                (void)snprintf(socket.path, sizeof(socket.path), "%s", rows[i].path);
                if (socket_path_check(&socket, &err) != rows[i].rc)
                        fail_msg("%s: %s", rows[i].path, err.text);
        }
}

static int connect_to(const struct socket_path *to)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", to->path);
        assert_true(fd >= 0);
        if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
                return fd;
        fd_close(&fd);
        return -1;
}

static void listens_for_its_owner_only(void **state)
{
        const struct socket_path socket = at("tpm.sock");
        struct err err = {0};
        struct stat st;
        int fd = -1;
        int peer;

        (void)state;
        assert_ok(socket_path_listen(&socket, &fd, &err), &err);
        assert_int_equal(stat(socket.path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        peer = connect_to(&socket);
        assert_true(peer >= 0);
        fd_close(&peer);
        fd_close(&fd);
        socket_path_remove(&socket);
        assert_int_equal(access(socket.path, F_OK), -1);
}

static void leaves_what_is_not_its_own(void **state)
{
        const struct socket_path socket = at("tpm.sock");
        const struct socket_path file = at("file");
        const struct socket_path link = at("link");
        struct err err = {0};
        int fd = -1;
        int second = -1;

        (void)state;
        assert_ok(fs_write_file(file.path, "x", 1, 0600, &err), &err);
        assert_int_equal(symlink("/tmp/catena-nowhere", link.path), 0);
        assert_int_equal(socket_path_listen(&file, &fd, &err), ERR_CONFLICT);
        assert_int_equal(socket_path_listen(&link, &fd, &err), ERR_CONFLICT);
        socket_path_remove(&file);
        assert_int_equal(access(file.path, F_OK), 0);
        assert_ok(socket_path_listen(&socket, &fd, &err), &err);
        assert_int_equal(socket_path_listen(&socket, &second, &err), ERR_CONFLICT);
        assert_int_equal(second, -1);
        /* Its program is gone: the place is free. */
        fd_close(&fd);
        assert_ok(socket_path_listen(&socket, &fd, &err), &err);
        fd_close(&fd);
}

static void refuses_directories_that_others_write_to(void **state)
{
        struct socket_path socket = at("tpm.sock");
        struct err err = {0};
        int fd = -1;

        (void)state;
        assert_int_equal(chmod(dir, 0777), 0);
        assert_int_equal(socket_path_listen(&socket, &fd, &err), ERR_NOT_PERMITTED);
        assert_int_equal(chmod(dir, 01777), 0);
        assert_ok(socket_path_listen(&socket, &fd, &err), &err);
        fd_close(&fd);
        assert_int_equal(chmod(dir, 0700), 0);
        if (geteuid() == 0) {
                assert_int_equal(chown(dir, 65534, 65534), 0);
                assert_int_equal(socket_path_listen(&socket, &fd, &err), ERR_NOT_PERMITTED);
                socket.uid = socket.gid = 65534;
                assert_ok(socket_path_listen(&socket, &fd, &err), &err);
                fd_close(&fd);
                assert_int_equal(chown(dir, 0, 0), 0);
        } else {
                socket.uid = 0;
                assert_int_equal(socket_path_listen(&socket, &fd, &err), ERR_NOT_PERMITTED);
                assert_int_equal(access(socket.path, F_OK), -1);
        }
        (void)snprintf(socket.path, sizeof(socket.path), "%.40s/none/x", dir);
        assert_int_equal(socket_path_listen(&socket, &fd, &err), ERR_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(takes_plain_absolute_paths_only),
            TEST(listens_for_its_owner_only),
            TEST(leaves_what_is_not_its_own),
            TEST(refuses_directories_that_others_write_to),
        };
        return cmocka_run_group_tests_name("tcb-socket-path", tests, NULL, NULL);
}
