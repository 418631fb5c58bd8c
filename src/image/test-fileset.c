#include "lib/test.h"

#include "image/fileset.h"

#include <stdlib.h>
#include <sys/stat.h>

static const struct bytes hello = {(const uint8_t *)"hello", 5};
static const struct bytes other = {(const uint8_t *)"other", 5};

static const struct {
        const char *path;
        int code;
} path_rows[] = {
    {"/a", 0},           {"/a.b/..c", 0},      {"", ERR_USAGE},      {"/", ERR_USAGE},
    {"a", ERR_USAGE},    {"/a/", ERR_USAGE},   {"//a", ERR_USAGE},   {"/a//b", ERR_USAGE},
    {"/./a", ERR_USAGE}, {"/../a", ERR_USAGE}, {"/a/..", ERR_USAGE}, {"/a/.", ERR_USAGE},
};

static void test_paths(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(path_rows); i++) {
                AUTO_FILESET struct fileset set = {.n = 0};
                struct err err = {0};
                int rc = fileset_add_data(&set, path_rows[i].path, 0644, hello, &err);

                if (rc != path_rows[i].code)
                        fail_msg("\"%s\": %d", path_rows[i].path, rc);
        }
}

static void test_long_path(void **state)
{
        AUTO_FILESET struct fileset set = {.n = 0};
        char path[FILESET_PATH_MAX + 2];
        struct err err = {0};

        (void)state;
        memset(path, 'a', sizeof(path));
        path[0] = '/';
        path[FILESET_PATH_MAX + 1] = '\0';
        assert_int_equal(fileset_add_data(&set, path, 0644, hello, &err), ERR_USAGE);
        path[FILESET_PATH_MAX] = '\0';
        assert_ok(fileset_add_data(&set, path, 0644, hello, &err), &err);
}

static void test_conflict(void **state)
{
        AUTO_FILESET struct fileset set = {.n = 0};
        struct err err = {0};

        (void)state;
        assert_ok(fileset_add_data(&set, "/d/f", 0644, hello, &err), &err);
        assert_ok(fileset_add_data(&set, "/d/f", 0644, hello, &err), &err);
        assert_int_equal(set.n, 2);
        assert_int_equal(fileset_add_data(&set, "/d/f", 0644, other, &err), ERR_CONFLICT);
        assert_int_equal(fileset_add_data(&set, "/d/f", 0755, hello, &err), ERR_CONFLICT);
        assert_int_equal(fileset_add_data(&set, "/d", 0644, hello, &err), ERR_CONFLICT);
        assert_int_equal(set.n, 2);
        assert_null(fileset_find(&set, "/d/g"));
        assert_non_null(fileset_find(&set, "/d/f"));
}

static void test_too_many(void **state)
{
        AUTO_FILESET struct fileset set = {.n = 0};
        struct err err = {0};
        char path[32];
        int rc = 0;

        (void)state;
        for (int i = 0; rc == 0 && i <= FILESET_COUNT_MAX; i++) {
                (void)snprintf(path, sizeof(path), "/%d", i);
                rc = fileset_add_data(&set, path, 0644, hello, &err);
        }
        assert_int_equal(rc, ERR_LIMIT);
        assert_int_equal(set.n, FILESET_COUNT_MAX);
}

static void test_missing_file(void **state)
{
        AUTO_FILESET struct fileset set = {.n = 0};
        struct err err = {0};

        (void)state;
        assert_int_equal(fileset_add_file(&set, "/a", 0644, "/nonexistent/a", &err), ERR_NOT_FOUND);
}

/* The archive of one directory and one file, byte by byte (cpio(5), "New ASCII Format"). */
static void test_archive(void **state)
{
        static const char expected[] = "070701"
                                       "00000001000041ED0000000000000000000000020000000000000000"
                                       "00000000000000000000000000000000"
                                       "0000000200000000"
                                       "d\0"
                                       "070701"
                                       "00000002000081A40000000000000000000000010000000000000005"
                                       "00000000000000000000000000000000"
                                       "0000000400000000"
                                       "d/f\0\0\0"
                                       "hello\0\0\0"
                                       "070701"
                                       "00000000000000000000000000000000000000010000000000000000"
                                       "00000000000000000000000000000000"
                                       "0000000B00000000"
                                       "TRAILER!!!\0\0\0\0";
        AUTO_FILESET struct fileset set = {.n = 0};
        AUTO_WRITER struct writer w = {0};
        struct err err = {0};

        (void)state;
        writer_init(&w, 4096);
        assert_ok(fileset_add_data(&set, "/d/f", 0644, hello, &err), &err);
        assert_ok(fileset_write_cpio(&set, &w, &err), &err);
        assert_int_equal(w.len, sizeof(expected) - 1);
        assert_memory_equal(w.data, expected, w.len);
}

/* The order of additions does not show. */
static void test_order(void **state)
{
        AUTO_FILESET struct fileset one = {.n = 0};
        AUTO_FILESET struct fileset two = {.n = 0};
        AUTO_WRITER struct writer a = {0};
        AUTO_WRITER struct writer b = {0};
        struct err err = {0};

        (void)state;
        writer_init(&a, 4096);
        writer_init(&b, 4096);
        assert_ok(fileset_add_data(&one, "/x/f", 0644, hello, &err), &err);
        assert_ok(fileset_add_data(&one, "/a", 0755, other, &err), &err);
        assert_ok(fileset_add_data(&two, "/a", 0755, other, &err), &err);
        assert_ok(fileset_add_dir(&two, "/x", &err), &err);
        assert_ok(fileset_add_data(&two, "/x/f", 0644, hello, &err), &err);
        assert_ok(fileset_write_cpio(&one, &a, &err), &err);
        assert_ok(fileset_write_cpio(&two, &b, &err), &err);
        assert_true(bytes_equal(writer_bytes(&a), writer_bytes(&b)));
}

static void test_archive_limit(void **state)
{
        AUTO_FILESET struct fileset set = {.n = 0};
        AUTO_WRITER struct writer w = {0};
        struct err err = {0};

        (void)state;
        writer_init(&w, 200);
        assert_ok(fileset_add_data(&set, "/d/f", 0644, hello, &err), &err);
        assert_int_equal(fileset_write_cpio(&set, &w, &err), ERR_LIMIT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_paths),        cmocka_unit_test(test_long_path),
            cmocka_unit_test(test_conflict),     cmocka_unit_test(test_too_many),
            cmocka_unit_test(test_missing_file), cmocka_unit_test(test_archive),
            cmocka_unit_test(test_order),        cmocka_unit_test(test_archive_limit),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
