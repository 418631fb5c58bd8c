/* doc/attacks.md promises rows: every id that it lists is really in the files beside it. */
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/fs.h"
#include "lib/test.h"

#define LIST_MAX (1U << 20)

static char *read_source(const char *path)
{
        const char *root = getenv("CATENA_SOURCE");
        char full[PATH_MAX];
        uint8_t *text = NULL;
        size_t len = 0;
        struct err err = {0};

        assert_non_null(root);
        (void)snprintf(full, sizeof(full), "%s/%s", root, path);
        assert_ok(fs_read_file(full, LIST_MAX, &text, &len, &err), &err);
        return (char *)text;
}

/* The id as a whole: Q-NONCE is not found in Q-NONCE-FIXED. */
static bool has_id(const char *text, const char *id)
{
        size_t len = strlen(id);

        for (const char *at = strstr(text, id); at != NULL; at = strstr(at + 1, id))
                if (strspn(at + len, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") == 0)
                        return true;
        return false;
}

/* "| ID | input | `file`, `file` |"; returns whether the line is such a row. */
static bool check_row(const char *line)
{
        char id[32];
        char path[128];
        unsigned n = 0;

        if (sscanf(line, "| %31[A-Z-] |", id) != 1 || strchr(id, '-') == NULL || id[0] == '-')
                return false;
        for (const char *at = strchr(line, '`'); at != NULL; at = strchr(at, '`')) {
                char *text;

                if (sscanf(at, "`%127[^`]`", path) != 1)
                        break;
                at += strlen(path) + 2;
                if (strncmp(path, "src/", 4) != 0 && strncmp(path, "tests/", 6) != 0)
                        continue; /* a word of the text */
                text = read_source(path);
                if (!has_id(text, id))
                        fail_msg("%s is not in %s", id, path);
                free(text);
                n++;
        }
        if (n == 0)
                fail_msg("%s has no test", id);
        return true;
}

static void every_attack_has_its_row(void **state)
{
        char AUTO_FREE *list = read_source("doc/attacks.md");
        char *rest = list;
        char *line;
        unsigned rows = 0;

        (void)state;
        while ((line = strsep(&rest, "\n")) != NULL)
                rows += check_row(line) ? 1 : 0;
        assert_true(rows > 60);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(every_attack_has_its_row),
        };

        return cmocka_run_group_tests_name("verify-attack-list", tests, NULL, NULL);
}
