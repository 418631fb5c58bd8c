#include "lib/test.h"

#include "image/grubscript.h"

#include <stdlib.h>

#include "base/macro.h"

#define GOOD                                                                                       \
        "# comment\n\nserial --unit=0\nlinuxefi /vmlinuz console=ttyS0 a=b,c\n"                    \
        "initrdefi /one /two\nboot\n"

static void test_events(void **state)
{
        static const struct {
                enum grubscript_kind kind;
                const char *text;
        } expected[] = {
            {GRUBSCRIPT_COMMAND, "serial --unit=0"},
            {GRUBSCRIPT_COMMAND, "linuxefi /vmlinuz console=ttyS0 a=b,c"},
            {GRUBSCRIPT_FILE, "/vmlinuz"},
            {GRUBSCRIPT_COMMAND_LINE, "/vmlinuz console=ttyS0 a=b,c"},
            {GRUBSCRIPT_COMMAND, "initrdefi /one /two"},
            {GRUBSCRIPT_FILE, "/one"},
            {GRUBSCRIPT_FILE, "/two"},
            {GRUBSCRIPT_COMMAND, "boot"},
        };
        static struct grubscript script;
        struct err err = {0};

        (void)state;
        assert_ok(grubscript_parse((struct bytes){(const uint8_t *)GOOD, sizeof(GOOD) - 1}, &script,
                                   &err),
                  &err);
        assert_int_equal(script.n, ARRAY_SIZE(expected));
        for (size_t i = 0; i < script.n; i++) {
                assert_int_equal(script.event[i].kind, expected[i].kind);
                assert_string_equal(script.event[i].text, expected[i].text);
        }
}

/* What cannot be predicted must be refused, with the line that is to blame. */
static const struct {
        const char *text;
        int code;
        const char *place;
} refused_rows[] = {
    {"", ERR_MALFORMED, "does not boot"},
    {"linuxefi /vmlinuz\n", ERR_MALFORMED, "does not boot"},
    {"boot\n", ERR_MALFORMED, "does not boot"},
    {"set timeout=0\ninitrdefi /initrd.gz\nboot\n", ERR_MALFORMED, "does not boot"},
    {"linuxefi\nboot\n", ERR_MALFORMED, "line 1"},
    {"set\nboot\n", ERR_MALFORMED, "line 1"},
    {"boot\nset a=b\n", ERR_UNSUPPORTED, "line 2"},
    {"menuentry x {\nboot\n", ERR_UNSUPPORTED, "line 1"},
    {"set a=$b\nboot\n", ERR_UNSUPPORTED, "line 1"},
    {"set a='b'\nboot\n", ERR_UNSUPPORTED, "line 1"},
    {"set a=\"b\"\nboot\n", ERR_UNSUPPORTED, "line 1"},
    {"set a=b;boot\n", ERR_UNSUPPORTED, "line 1"},
    {"set a=b\\\nboot\n", ERR_UNSUPPORTED, "line 1"},
    {"set a=b \nboot\n", ERR_UNSUPPORTED, "line 1"},
    {" boot\n", ERR_UNSUPPORTED, "line 1"},
    {"set  a=b\nboot\n", ERR_UNSUPPORTED, "line 1"},
    {"set\ta=b\nboot\n", ERR_UNSUPPORTED, "line 1"},
    {"boot\r\n", ERR_UNSUPPORTED, "line 1"},
    {"linux /vmlinuz\nboot\n", ERR_UNSUPPORTED, "line 1"},
    {"configfile /other.cfg\nboot\n", ERR_UNSUPPORTED, "line 1"},
    {"source /other.cfg\nboot\n", ERR_UNSUPPORTED, "line 1"},
    {"\nboots\n", ERR_UNSUPPORTED, "line 2"},
};

static void test_refused(void **state)
{
        static struct grubscript script;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(refused_rows); i++) {
                const char *text = refused_rows[i].text;
                struct err err = {0};
                int rc;

                script.n = 4711;
                rc = grubscript_parse((struct bytes){(const uint8_t *)text, strlen(text)}, &script,
                                      &err);
                if (rc != refused_rows[i].code || strstr(err.text, refused_rows[i].place) == NULL)
                        fail_msg("%s: %d %s", text, rc, err.text);
                assert_int_equal(script.n, 4711);
        }
}

static void test_limits(void **state)
{
        static char text[GRUBSCRIPT_EVENTS_MAX * 8 + GRUBSCRIPT_TEXT_MAX * 2];
        static const char line[5] = {'e', 'c', 'h', 'o', '\n'};
        static struct grubscript script;
        struct err err = {0};

        (void)state;
        memset(text, 'a', sizeof(text));
        memcpy(text, "set a=", 6);
        assert_int_equal(
            grubscript_parse((struct bytes){(uint8_t *)text, GRUBSCRIPT_TEXT_MAX}, &script, &err),
            ERR_LIMIT);
        for (int i = 0; i <= GRUBSCRIPT_EVENTS_MAX; i++)
                memcpy(text + (size_t)i * sizeof(line), line, sizeof(line));
        assert_int_equal(
            grubscript_parse(
                (struct bytes){(uint8_t *)text, (GRUBSCRIPT_EVENTS_MAX + 1) * sizeof(line)},
                &script, &err),
            ERR_LIMIT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_events),
            cmocka_unit_test(test_refused),
            cmocka_unit_test(test_limits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
