/* What a socket that is made for somebody else may not be turned into. */
#include "base/local-socket.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "lib/test.h"

#define OTHER 65534

static char path[64];
static int dir;

static int set_up(void **state)
{
        (void)state;
        (void)snprintf(path, sizeof(path), "/tmp/catena-test-XXXXXX");
        if (mkdtemp(path) == NULL)
                return -1;
        dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        return dir < 0;
}

static int tear_down(void **state)
{
        struct err err = {0};

        (void)state;
        fd_close(&dir);
        return fs_remove_tree(path, &err);
}

static int bind_it(mode_t mode, struct stat *ret_made, int *ret_fd, struct err *err)
{
        const struct local_socket_rights rights = {(uid_t)-1, (gid_t)-1, mode};

        *ret_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(*ret_fd >= 0);
        return local_socket_bind(*ret_fd, dir, "s", &rights, ret_made, err);
}

static void has_its_mode_whatever_the_mask(void **state)
{
        static const mode_t modes[] = {0600, 0660, 0666, 0700};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
                const mode_t before = umask(i % 2 == 0 ? 0 : 0777);
                struct stat made;
                struct stat st;
                struct err err = {0};
                int AUTO_FD fd = -1;

                assert_ok(bind_it(modes[i], &made, &fd, &err), &err);
                assert_int_equal(umask(before), i % 2 == 0 ? 0 : 0777);
                assert_int_equal(fstatat(dir, "s", &st, AT_SYMLINK_NOFOLLOW), 0);
                assert_int_equal(st.st_mode, S_IFSOCK | modes[i]);
                assert_int_equal(st.st_ino, made.st_ino);
                local_socket_remove(dir, "s", &made);
                assert_int_equal(faccessat(dir, "s", F_OK, AT_SYMLINK_NOFOLLOW), -1);
        }
}

static void leaves_what_is_there(void **state)
{
        struct stat made;
        struct err err = {0};
        int AUTO_FD fd = -1;
        int AUTO_FD file = openat(dir, "s", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

        (void)state;
        assert_true(file >= 0);
        assert_int_equal(bind_it(0600, &made, &fd, &err), ERR_CONFLICT);
        assert_int_equal(faccessat(dir, "s", F_OK, 0), 0);
}

/* The name now leads to something else: that is neither given away nor removed. */
static void put_in_its_place(int kind)
{
        if (kind == 3) {
                /* Not even a second name: it may be another socket of ours. */
                assert_int_equal(linkat(dir, "s", dir, "victim-socket", 0), 0);
                return;
        }
        assert_int_equal(unlinkat(dir, "s", 0), 0);
        if (kind == 0)
                assert_int_equal(symlinkat("victim", dir, "s"), 0);
        if (kind == 1)
                assert_int_equal(linkat(dir, "victim", dir, "s", 0), 0);
        if (kind == 2)
                assert_int_equal(mkfifoat(dir, "s", 0600), 0);
}

static void gives_only_what_was_made(void **state)
{
        const struct local_socket_rights rights = {OTHER, OTHER, 0600};
        int AUTO_FD file = openat(dir, "victim", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

        (void)state;
        if (geteuid() != 0)
                skip();
        assert_true(file >= 0);
        for (int kind = 0; kind < 4; kind++) {
                struct stat made;
                struct stat poison = {.st_ino = 1};
                struct err err = {0};
                int AUTO_FD fd = -1;

                assert_ok(bind_it(0600, &made, &fd, &err), &err);
                put_in_its_place(kind);
                assert_int_equal(local_socket_give(dir, "s", &rights, &poison, &err), ERR_CONFLICT);
                assert_int_equal(poison.st_ino, 1);
                if (kind != 3)
                        local_socket_remove(dir, "s", &made);
                assert_int_equal(faccessat(dir, "s", F_OK, AT_SYMLINK_NOFOLLOW), 0);
                assert_int_equal(unlinkat(dir, "s", 0), 0);
        }
        for (int i = 0; i < 2; i++) {
                struct stat st;

                assert_int_equal(fstatat(dir, i == 0 ? "victim" : "victim-socket", &st, 0), 0);
                assert_int_equal(st.st_uid, 0);
                assert_int_equal(st.st_mode & 0777, 0600);
        }
}

static void gives_it_to_its_owner(void **state)
{
        const struct local_socket_rights rights = {OTHER, OTHER, 0600};
        struct stat made;
        struct stat st;
        struct err err = {0};
        int AUTO_FD fd = -1;

        (void)state;
        if (geteuid() != 0)
                skip();
        assert_ok(bind_it(0600, &made, &fd, &err), &err);
        assert_ok(local_socket_give(dir, "s", &rights, &made, &err), &err);
        assert_int_equal(fstatat(dir, "s", &st, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(st.st_uid, OTHER);
        assert_int_equal(st.st_gid, OTHER);
        local_socket_remove(dir, "s", &made);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(has_its_mode_whatever_the_mask),
            TEST(leaves_what_is_there),
            TEST(gives_only_what_was_made),
            TEST(gives_it_to_its_owner),
        };

        return cmocka_run_group_tests_name("base-local-socket", tests, NULL, NULL);
}
