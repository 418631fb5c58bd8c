#include "lib/test.h"
#include "tcb/config-manual.h"
#include "tcb/config.h"

/* Every key of the table is in the page, and nothing that troff would take for a request. */
static void names_every_key(void **state)
{
        static char page[65536];
        FILE *out = fmemopen(page, sizeof(page) - 1, "w");
        char *line;
        char *rest = page;

        (void)state;
        assert_non_null(out);
        tcb_config_manual(out);
        assert_int_equal(fclose(out), 0);
        for (size_t i = 0; i < tcb_config_n_keys; i++) {
                char key[80];

                (void)snprintf(key, sizeof(key), "\\fB%s\\fR", tcb_config_keys[i].name);
                assert_non_null(strstr(page, key));
        }
        while ((line = strsep(&rest, "\n")) != NULL)
                if (line[0] == '.')
                        assert_true(strncmp(line, ".TH ", 4) == 0 ||
                                    strncmp(line, ".SH ", 4) == 0 || strcmp(line, ".TP") == 0 ||
                                    strncmp(line, ".I ", 3) == 0 || strncmp(line, ".BR ", 4) == 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(names_every_key),
        };
        return cmocka_run_group_tests_name("tcb-config-manual", tests, NULL, NULL);
}
