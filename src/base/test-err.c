#include <errno.h>

#include "lib/test.h"

static void wraps_context_in_front(void **state)
{
        struct err err = {0};

        (void)state;
        assert_int_equal(err_set(&err, ERR_DAMAGED, "authentication failed"), ERR_DAMAGED);
        assert_int_equal(err_wrap(&err, "load %s", "state"), ERR_DAMAGED);
        assert_int_equal(err_wrap(&err, "start web1"), ERR_DAMAGED);
        assert_string_equal(err.text, "start web1: load state: authentication failed");
}

static void keeps_hint_through_wraps_and_drops_it_on_set(void **state)
{
        struct err err = {0};

        (void)state;
        (void)err_set(&err, ERR_NOT_FOUND, "no such VM");
        (void)err_hint(&err, "see catena vm list");
        (void)err_wrap(&err, "start");
        assert_string_equal(err.hint, "see catena vm list");
        (void)err_set(&err, ERR_IO, "other");
        assert_string_equal(err.hint, "");
}

static void is_never_fine(void **state)
{
        struct err err = {0};

        (void)state;
        assert_int_equal(err_set(&err, err_from_wire(0), "a peer refused with OK"), ERR_FAILED);
        assert_int_equal(err.code, ERR_FAILED);
        assert_int_equal(err_set(&err, 7, "no code at all"), ERR_FAILED);
}

static void cuts_long_text(void **state)
{
        struct err err = {0};
        char longer[ERR_TEXT_MAX * 2];

        (void)state;
        memset(longer, 'x', sizeof(longer));
        longer[sizeof(longer) - 1] = '\0';
        (void)err_set(&err, ERR_FAILED, "%s", longer);
        assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
        (void)err_wrap(&err, "%s", longer);
        assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
}

static void maps_errno(void **state)
{
        static const struct {
                int errnum;
                int code;
        } rows[] = {
            {ENOENT, ERR_NOT_FOUND},         {EEXIST, ERR_CONFLICT},   {EACCES, ERR_NOT_PERMITTED},
            {EPERM, ERR_NOT_PERMITTED},      {ENOMEM, ERR_NO_MEMORY},  {EPIPE, ERR_UNREACHABLE},
            {ECONNREFUSED, ERR_UNREACHABLE}, {ETIMEDOUT, ERR_TIMEOUT}, {ENOSPC, ERR_IO},
        };
        struct err err = {0};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                assert_int_equal(err_set_errno(&err, rows[i].errnum, "open"), rows[i].code);
        assert_non_null(strstr(err.text, "open: "));
}

static void names_and_exit_codes(void **state)
{
        (void)state;
        assert_string_equal(err_name(ERR_NOT_TRUSTED), "not-trusted");
        assert_int_equal(err_exit_code(ERR_OK), 0);
        assert_int_equal(err_exit_code(ERR_NOT_TRUSTED), 6);
        assert_int_equal(err_exit_code(ERR_ROLLBACK), 7);
        assert_int_equal(err_exit_code(ERR_DAMAGED), 9);
        assert_int_equal(err_exit_code(-9999), 1);
        assert_int_equal(err_exit_code(5), 1);
}

static void crosses_the_wire(void **state)
{
        (void)state;
        for (int code = 0; code > -(int)ERR_INDEX_COUNT; code--)
                assert_int_equal(err_from_wire(err_to_wire(code)), code);
        assert_int_equal(err_from_wire(1000), ERR_FAILED);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(wraps_context_in_front),
            cmocka_unit_test(keeps_hint_through_wraps_and_drops_it_on_set),
            cmocka_unit_test(is_never_fine),
            cmocka_unit_test(cuts_long_text),
            cmocka_unit_test(maps_errno),
            cmocka_unit_test(names_and_exit_codes),
            cmocka_unit_test(crosses_the_wire),
        };
        return cmocka_run_group_tests_name("base-err", tests, NULL, NULL);
}
