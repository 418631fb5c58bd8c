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

static void knows_what_is_in_a_directory(void **state)
{
        static const struct {
                const char *path;
                const char *dirs;
                bool is_in;
        } rows[] = {
            {"/run/catena/x", "/run/catena", true},
            {"/run/catena/a/b", "/run/catena", true},
            {"/run/catena/x", "/run/catena/", true},
            {"/run/catena/x", "/run", true},
            {"/run/catena/x", "/srv /run/catena", true},
            {"/run/catena/x", "  /srv   /run/catena  ", true},
            {"/run/catena/x", "/", true},
            {"/x", "/", true},
            {"/run/catena/x", "", false},
            {"/run/catena/x", " ", false},
            {"/run/catenax", "/run/catena", false},
            {"/run/catena2/x", "/run/catena", false},
            {"/run/x", "/run/catena", false},
            {"/run/catena", "/run/catena", false},
            {"/run/catena/x", "run/catena", false},
            {"/run/catena/x", "/srv", false},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct socket_path socket = {.mode = 0600};

                (void)snprintf(socket.path, sizeof(socket.path), "%s", rows[i].path);
                if (socket_path_is_in(&socket, rows[i].dirs) != rows[i].is_in)
                        fail_msg("%s in \"%s\"", rows[i].path, rows[i].dirs);
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
        static const mode_t modes[] = {0600, 0660};
        struct socket_path socket = at("tpm.sock");

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
                struct socket_place place;
                struct err err = {0};
                struct stat st;
                int fd = -1;
                int peer;

                socket.mode = modes[i];
                assert_ok(socket_path_listen(&socket, &place, &fd, &err), &err);
                assert_int_equal(stat(socket.path, &st), 0);
                assert_int_equal(st.st_mode & 07777, modes[i]);
                peer = connect_to(&socket);
                assert_true(peer >= 0);
                fd_close(&peer);
                socket_path_remove(&socket, &place);
                fd_close(&fd);
                assert_int_equal(access(socket.path, F_OK), -1);
        }
}

static void leaves_what_is_not_its_own(void **state)
{
        const struct socket_path socket = at("tpm.sock");
        const struct socket_path file = at("file");
        const struct socket_path link = at("link");
        struct socket_place place;
        struct err err = {0};
        int fd = -1;
        int second = -1;

        (void)state;
        assert_ok(fs_write_file(file.path, "x", 1, 0600, &err), &err);
        assert_int_equal(symlink("/tmp/catena-nowhere", link.path), 0);
        assert_int_equal(socket_path_listen(&file, &place, &fd, &err), ERR_CONFLICT);
        assert_int_equal(socket_path_listen(&link, &place, &fd, &err), ERR_CONFLICT);
        assert_ok(socket_path_listen(&socket, &place, &fd, &err), &err);
        assert_int_equal(socket_path_listen(&socket, &place, &second, &err), ERR_CONFLICT);
        assert_int_equal(second, -1);
        /* Its program is gone: the place is free. */
        fd_close(&fd);
        fd_close(&place.dir);
        assert_ok(socket_path_listen(&socket, &place, &fd, &err), &err);
        socket_path_remove(&socket, &place);
        fd_close(&fd);
}

/* A socket that its owner put there since, or a file: neither is ours to remove. */
static void removes_its_own_only(void **state)
{
        const struct socket_path socket = at("tpm.sock");
        struct socket_place place;
        struct socket_place other;
        struct err err = {0};
        int fd = -1;
        int second = -1;

        (void)state;
        assert_ok(socket_path_listen(&socket, &place, &fd, &err), &err);
        assert_int_equal(unlink(socket.path), 0);
        assert_ok(socket_path_listen(&socket, &other, &second, &err), &err);
        socket_path_remove(&socket, &place);
        assert_int_equal(place.dir, -1);
        assert_int_equal(access(socket.path, F_OK), 0);
        assert_int_equal(unlink(socket.path), 0);
        assert_ok(fs_write_file(socket.path, "x", 1, 0600, &err), &err);
        socket_path_remove(&socket, &other);
        assert_int_equal(access(socket.path, F_OK), 0);
        fd_close(&fd);
        fd_close(&second);
}

/* Its directory moved away and another one in its place: the one that was opened counts. */
static void removes_from_where_it_was_made(void **state)
{
        const struct socket_path socket = at("a/tpm.sock");
        const struct socket_path moved = at("b/tpm.sock");
        struct socket_place place;
        struct socket_place other;
        struct err err = {0};
        int fd = -1;
        int second = -1;

        (void)state;
        assert_int_equal(mkdir(at("a").path, 0700), 0);
        assert_ok(socket_path_listen(&socket, &place, &fd, &err), &err);
        assert_int_equal(rename(at("a").path, at("b").path), 0);
        assert_int_equal(mkdir(at("a").path, 0700), 0);
        assert_ok(socket_path_listen(&socket, &other, &second, &err), &err);
        socket_path_remove(&socket, &place);
        assert_int_equal(access(moved.path, F_OK), -1);
        assert_int_equal(access(socket.path, F_OK), 0);
        socket_path_remove(&socket, &other);
        fd_close(&fd);
        fd_close(&second);
}

/* Whoever owns or writes to a directory above, or a link, decides what the path means. */
static void refuses_paths_that_others_can_turn(void **state)
{
        const struct socket_path socket = at("a/b/tpm.sock");
        const struct socket_path linked = at("link/tpm.sock");
        struct socket_place place;
        struct err err = {0};
        int fd = -1;

        (void)state;
        assert_int_equal(mkdir(at("a").path, 0700), 0);
        assert_int_equal(mkdir(at("a/b").path, 0700), 0);
        assert_int_equal(chmod(at("a").path, 0777), 0);
        assert_int_equal(socket_path_listen(&socket, &place, &fd, &err), ERR_NOT_PERMITTED);
        if (geteuid() == 0) {
                assert_int_equal(chmod(at("a").path, 0755), 0);
                assert_int_equal(chown(at("a").path, 65534, 65534), 0);
                assert_int_equal(socket_path_listen(&socket, &place, &fd, &err), ERR_NOT_PERMITTED);
                assert_int_equal(chown(at("a").path, 0, 0), 0);
        }
        assert_int_equal(symlink(at("a/b").path, at("link").path), 0);
        assert_true(socket_path_listen(&linked, &place, &fd, &err) < 0);
        assert_non_null(strstr(err.hint, "symbolic"));
        assert_int_equal(chmod(at("a").path, 0700), 0);
        assert_ok(socket_path_listen(&socket, &place, &fd, &err), &err);
        socket_path_remove(&socket, &place);
        fd_close(&fd);
}

/* A dead one, too: its user may be about to listen. */
static void leaves_another_users_socket(void **state)
{
        const struct socket_path socket = at("tpm.sock");
        struct socket_place place;
        struct err err = {0};
        int fd = -1;

        (void)state;
        if (geteuid() != 0)
                skip();
        assert_ok(socket_path_listen(&socket, &place, &fd, &err), &err);
        fd_close(&fd);
        fd_close(&place.dir);
        assert_int_equal(lchown(socket.path, 65534, 65534), 0);
        assert_int_equal(socket_path_listen(&socket, &place, &fd, &err), ERR_CONFLICT);
        assert_int_equal(access(socket.path, F_OK), 0);
}

static void refuses_directories_that_others_write_to(void **state)
{
        struct socket_path socket = at("tpm.sock");
        struct socket_place place;
        struct err err = {0};
        int fd = -1;

        (void)state;
        assert_int_equal(chmod(dir, 0777), 0);
        assert_int_equal(socket_path_listen(&socket, &place, &fd, &err), ERR_NOT_PERMITTED);
        assert_int_equal(chmod(dir, 01777), 0);
        assert_ok(socket_path_listen(&socket, &place, &fd, &err), &err);
        socket_path_remove(&socket, &place);
        fd_close(&fd);
        assert_int_equal(chmod(dir, 0700), 0);
        if (geteuid() == 0) {
                assert_int_equal(chown(dir, 65534, 65534), 0);
                assert_int_equal(socket_path_listen(&socket, &place, &fd, &err), ERR_NOT_PERMITTED);
                socket.uid = socket.gid = 65534;
                assert_ok(socket_path_listen(&socket, &place, &fd, &err), &err);
                socket_path_remove(&socket, &place);
                fd_close(&fd);
                assert_int_equal(chown(dir, 0, 0), 0);
        } else {
                socket.uid = 0;
                assert_int_equal(socket_path_listen(&socket, &place, &fd, &err), ERR_NOT_PERMITTED);
                assert_int_equal(access(socket.path, F_OK), -1);
        }
        (void)snprintf(socket.path, sizeof(socket.path), "%.40s/none/x", dir);
        assert_int_equal(socket_path_listen(&socket, &place, &fd, &err), ERR_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(takes_plain_absolute_paths_only),
            cmocka_unit_test(knows_what_is_in_a_directory),
            TEST(listens_for_its_owner_only),
            TEST(leaves_what_is_not_its_own),
            TEST(removes_its_own_only),
            TEST(removes_from_where_it_was_made),
            TEST(refuses_paths_that_others_can_turn),
            TEST(leaves_another_users_socket),
            TEST(refuses_directories_that_others_write_to),
        };
        return cmocka_run_group_tests_name("tcb-socket-path", tests, NULL, NULL);
}
