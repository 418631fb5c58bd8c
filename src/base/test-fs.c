#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "lib/test.h"

static void writes_reads_and_replaces(void **state)
{
        struct err err = {0};
        char path[PATH_MAX];
        uint8_t *data = NULL;
        size_t len = 0;
        struct stat st;

        (void)state;
        assert_ok(fs_join(path, sizeof(path), test_dir(), "a", &err), &err);
        assert_int_equal(fs_read_file(path, 10, &data, &len, &err), ERR_NOT_FOUND);
        assert_ok(fs_write_file(path, "first", 5, 0600, &err), &err);
        assert_ok(fs_write_file(path, "second", 6, 0600, &err), &err);
        assert_int_equal(fs_read_file(path, 5, &data, &len, &err), ERR_LIMIT);
        assert_null(data);
        assert_ok(fs_read_file(path, 6, &data, &len, &err), &err);
        assert_int_equal(len, 6);
        assert_string_equal((char *)data, "second");
        free(data);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        assert_ok(fs_join(path, sizeof(path), test_dir(), "a.new", &err), &err);
        assert_int_not_equal(access(path, F_OK), 0);
}

/* What another user can put in a file's place, and root would follow or wait for. */
static void plain_files_are_files(void **state)
{
        struct err err = {0};
        char path[PATH_MAX];
        char file[PATH_MAX];
        uint8_t *data = NULL;
        size_t len = 0;

        (void)state;
        assert_ok(fs_join(file, sizeof(file), test_dir(), "plain", &err), &err);
        assert_ok(fs_write_file(file, "words", 5, 0600, &err), &err);
        assert_int_equal(fs_read_plain_file_at(AT_FDCWD, file, 4, &data, &len, &err), ERR_LIMIT);
        assert_ok(fs_read_plain_file_at(AT_FDCWD, file, 5, &data, &len, &err), &err);
        assert_int_equal(len, 5);
        free(TAKE(data));
        assert_ok(fs_join(path, sizeof(path), test_dir(), "link", &err), &err);
        assert_int_equal(symlink(file, path), 0);
        assert_int_equal(fs_read_plain_file_at(AT_FDCWD, path, 5, &data, &len, &err),
                         ERR_MALFORMED);
        assert_ok(fs_join(path, sizeof(path), test_dir(), "pipe", &err), &err);
        assert_int_equal(fs_read_plain_file_at(AT_FDCWD, path, 5, &data, &len, &err),
                         ERR_NOT_FOUND);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_int_equal(fs_read_plain_file_at(AT_FDCWD, path, 5, &data, &len, &err),
                         ERR_MALFORMED);
        assert_null(data);
}

static void makes_parents(void **state)
{
        struct err err = {0};
        char path[PATH_MAX];
        struct stat st;

        (void)state;
        assert_ok(fs_join(path, sizeof(path), test_dir(), "x/y/z", &err), &err);
        assert_ok(fs_make_dir(path, 0700, &err), &err);
        assert_ok(fs_make_dir(path, 0700, &err), &err);
        assert_int_equal(stat(path, &st), 0);
        assert_true(S_ISDIR(st.st_mode));
}

static void removes_a_tree_and_no_more(void **state)
{
        struct err err = {0};
        char outside[PATH_MAX];
        char tree[PATH_MAX];
        char path[PATH_MAX];

        (void)state;
        assert_ok(fs_join(outside, sizeof(outside), test_dir(), "outside", &err), &err);
        assert_ok(fs_join(tree, sizeof(tree), test_dir(), "tree", &err), &err);
        assert_ok(fs_join(path, sizeof(path), tree, "a/b", &err), &err);
        assert_ok(fs_write_file(outside, "x", 1, 0600, &err), &err);
        assert_ok(fs_make_dir(path, 0700, &err), &err);
        assert_ok(fs_join(path, sizeof(path), tree, "a/link", &err), &err);
        assert_int_equal(symlink(outside, path), 0);
        assert_ok(fs_remove_tree(tree, &err), &err);
        assert_int_not_equal(access(tree, F_OK), 0);
        assert_int_equal(access(outside, F_OK), 0);
        assert_int_not_equal(fs_remove_tree(tree, &err), 0);
}

static void says_which_file(void **state)
{
        struct err err = {0};

        (void)state;
        assert_int_not_equal(fs_write_file("/nonexistent-dir/a", "x", 1, 0600, &err), 0);
        assert_non_null(strstr(err.text, "/nonexistent-dir/a"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(writes_reads_and_replaces),
            cmocka_unit_test(plain_files_are_files),
            cmocka_unit_test(makes_parents),
            cmocka_unit_test(removes_a_tree_and_no_more),
            cmocka_unit_test(says_which_file),
        };
        return cmocka_run_group_tests_name("base-fs", tests, NULL, NULL);
}
