#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "lib/test.h"
#include "swtpm/theirs.h"
#include "tpmwire/swtpm-state.h"

#define STATE "tpm2-00.permall"

static char dir[PATH_MAX];

/* A directory of its own for each row, with a state in it. */
static int set_up(void **state)
{
        static unsigned number;
        struct writer AUTO_WRITER w = {0};
        struct err err = {0};
        char path[PATH_MAX];

        (void)state;
        (void)snprintf(path, sizeof(path), "theirs-%u", number++);
        assert_ok(fs_join(dir, sizeof(dir), test_dir(), path, &err), &err);
        assert_ok(fs_make_dir(dir, 0700, &err), &err);
        writer_init(&w, SWTPM_STATE_MAX);
        swtpm_state_encode((struct bytes){(const uint8_t *)"permanent", 9}, &w);
        assert_ok(fs_join(path, sizeof(path), dir, STATE, &err), &err);
        assert_ok(fs_write_file(path, w.data, w.len, 0600, &err), &err);
        return 0;
}

static int read_it(struct err *err)
{
        struct theirs theirs = {-1, -1};
        uint8_t AUTO_FREE *data = NULL;
        size_t len = 0;
        int rc = theirs_claim(dir, &theirs, err);

        if (rc == 0)
                rc = theirs_read(&theirs, NULL, &data, &len, err);
        theirs_done(&theirs);
        if (rc != 0) {
                assert_null(data);
                return rc;
        }
        assert_int_equal(len, 9);
        assert_memory_equal(data, "permanent", 9);
        return 0;
}

static char *path_of(const char *name)
{
        static char path[PATH_MAX];
        struct err err = {0};

        assert_ok(fs_join(path, sizeof(path), dir, name, &err), &err);
        return path;
}

static void a_state_at_rest_is_read(void **state)
{
        struct err err = {0};
        int fd;

        (void)state;
        assert_ok(read_it(&err), &err);
        assert_int_equal(access(path_of(".lock"), F_OK), -1);
        fd = open(path_of(".lock"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        close(fd);
        assert_ok(read_it(&err), &err);
}

/* R-CLONE: one TPM would be two. swtpm's lock belongs to its process. */
static void one_in_use_is_not(void **state)
{
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        struct err err = {0};
        int ready[2];
        int status;
        char byte;
        pid_t pid;

        (void)state;
        assert_int_equal(pipe(ready), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                int fd = open(path_of(".lock"), O_CREAT | O_RDWR, 0600);

                if (fd < 0 || fcntl(fd, F_SETLK, &lock) < 0 || write(ready[1], "x", 1) != 1)
                        _exit(1);
                (void)pause();
                _exit(0);
        }
        assert_int_equal(read(ready[0], &byte, 1), 1);
        assert_int_equal(read_it(&err), ERR_CONFLICT);
        assert_non_null(strstr(err.text, "swtpm uses"));
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_ok(read_it(&err), &err);
        close(ready[0]);
        close(ready[1]);
}

static void a_suspended_one_is_not(void **state)
{
        struct err err = {0};

        (void)state;
        assert_ok(fs_write_file(path_of("tpm2-00.volatilestate"), "x", 1, 0600, &err), &err);
        assert_int_equal(read_it(&err), ERR_CONFLICT);
}

static void a_link_a_pipe_and_nothing_are_not(void **state)
{
        struct err err = {0};
        char other[PATH_MAX];

        (void)state;
        assert_ok(fs_join(other, sizeof(other), dir, "other", &err), &err);
        assert_int_equal(rename(path_of(STATE), other), 0);
        assert_int_equal(read_it(&err), ERR_NOT_FOUND);
        assert_int_equal(symlink(other, path_of(STATE)), 0);
        assert_int_equal(read_it(&err), ERR_MALFORMED);
        assert_int_equal(unlink(path_of(STATE)), 0);
        assert_int_equal(mkfifo(path_of(STATE), 0600), 0); /* would be waited for */
        assert_int_equal(read_it(&err), ERR_MALFORMED);
        assert_int_equal(unlink(path_of(STATE)), 0);
        assert_int_equal(mkdir(path_of(STATE), 0700), 0);
        assert_int_equal(read_it(&err), ERR_MALFORMED);
        assert_int_equal(rmdir(path_of(STATE)), 0);
        assert_ok(fs_write_file(path_of(STATE), "", 0, 0600, &err), &err);
        assert_int_not_equal(read_it(&err), 0);
}

/* What root makes in the directory of another user, that one could not open. */
static void root_is_not_in_place_of_its_owner(void **state)
{
        struct err err = {0};

        (void)state;
        if (geteuid() != 0)
                skip();
        assert_int_equal(chown(dir, 65534, 65534), 0);
        assert_int_equal(read_it(&err), ERR_NOT_PERMITTED);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup(a_state_at_rest_is_read, set_up),
            cmocka_unit_test_setup(one_in_use_is_not, set_up),
            cmocka_unit_test_setup(a_suspended_one_is_not, set_up),
            cmocka_unit_test_setup(a_link_a_pipe_and_nothing_are_not, set_up),
            cmocka_unit_test_setup(root_is_not_in_place_of_its_owner, set_up),
        };
        return cmocka_run_group_tests_name("swtpm-theirs", tests, NULL, NULL);
}
