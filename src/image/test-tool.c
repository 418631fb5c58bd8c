#include "lib/test.h"

#include "image/tool.h"

#include <stdlib.h>

#include "base/macro.h"

static char *run(const char *const *argv, struct err *err, int *ret_rc)
{
        const struct tool tool = {
            .package = "some-package", .argv = argv, .stdin_fd = -1, .stdout_fd = -1};
        uint8_t *text = NULL;
        size_t len = 0;

        *ret_rc = tool_capture(&tool, 4096, &text, &len, err);
        return (char *)text;
}

static void test_output(void **state)
{
        static const char *const argv[] = {"printf", "%s-%s", "a b", "$HOME", NULL};
        struct err err = {0};
        AUTO_FREE char *text = NULL;
        int rc;

        (void)state;
        text = run(argv, &err, &rc);
        assert_ok(rc, &err);
        assert_string_equal(text, "a b-$HOME");
}

/* The same environment for everybody: only then are the same bytes made. */
static void test_environment(void **state)
{
        static const char *const argv[] = {"env", NULL};
        struct err err = {0};
        AUTO_FREE char *text = NULL;
        int rc;

        (void)state;
        assert_int_equal(setenv("TZ", "Asia/Tokyo", 1), 0);
        assert_int_equal(setenv("LD_PRELOAD_NOT", "1", 1), 0);
        text = run(argv, &err, &rc);
        assert_ok(rc, &err);
        assert_non_null(strstr(text, "TZ=UTC\n"));
        assert_non_null(strstr(text, "SOURCE_DATE_EPOCH=" IMAGE_EPOCH "\n"));
        assert_null(strstr(text, "LD_PRELOAD_NOT"));
}

static void test_missing(void **state)
{
        static const char *const argv[] = {"no-such-tool-of-catena", NULL};
        struct err err = {0};
        int rc;

        (void)state;
        assert_null(run(argv, &err, &rc));
        assert_int_equal(rc, ERR_NOT_FOUND);
        assert_non_null(strstr(err.text, "no-such-tool-of-catena"));
        assert_non_null(strstr(err.hint, "apt-get install some-package"));
}

/* Its own last words become ours. */
static void test_failure(void **state)
{
        static const char *const argv[] = {"dpkg-deb", "-x", "/nonexistent/x.deb", "/nonexistent",
                                           NULL};
        struct err err = {0};
        int rc;

        (void)state;
        assert_null(run(argv, &err, &rc));
        assert_int_equal(rc, ERR_FAILED);
        assert_non_null(strstr(err.text, "dpkg-deb: "));
        assert_null(strchr(err.text, '\n'));
}

static void test_too_much_output(void **state)
{
        static const char *const argv[] = {"head", "-c", "5000", "/dev/zero", NULL};
        struct err err = {0};
        int rc;

        (void)state;
        assert_null(run(argv, &err, &rc));
        assert_int_equal(rc, ERR_LIMIT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_output),          cmocka_unit_test(test_environment),
            cmocka_unit_test(test_missing),         cmocka_unit_test(test_failure),
            cmocka_unit_test(test_too_much_output),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
