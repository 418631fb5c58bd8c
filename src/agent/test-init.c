/*
 * The list files and the search for the port, without being a first process.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/init.h"
#include "agent/list.h"
#include "agent/port.h"
#include "base/fd.h"
#include "base/fs.h"
#include "lib/test.h"

#define LONG_PATH_LEN 5000
#define ROW           ((size_t)3) /* "/a" and a newline */

static void parses_lists(void **state)
{
        static const struct {
                const char *text;
                size_t n;
                const char *first;
                const char *last;
        } rows[] = {
            {"", 0, NULL, NULL},
            {"\n\n# nothing\n", 0, NULL, NULL},
            {"/a\n", 1, "/a", "/a"},
            {"/a\n/b/c", 2, "/a", "/b/c"},
            {"# modules\n/lib/a.ko\n\n/lib/b.ko\n#/lib/c.ko\n", 2, "/lib/a.ko", "/lib/b.ko"},
            {"/with space\n/a..b\n", 2, "/with space", "/a..b"},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct err err = {0};
                struct list AUTO_LIST list = {0};

                assert_ok(list_parse(rows[i].text, strlen(rows[i].text), &list, &err), &err);
                assert_int_equal(list.n, rows[i].n);
                if (rows[i].n == 0)
                        continue;
                assert_string_equal(list.paths[0], rows[i].first);
                assert_string_equal(list.paths[list.n - 1], rows[i].last);
        }
}

/* E-UUID-INJ's neighbours: names with line breaks, "..", 10 kB. */
static void refuses_bad_lists(void **state)
{
        static const struct {
                const char *text;
                size_t len;
                int code;
                const char *words;
        } rows[] = {
            {"a\n", 2, ERR_MALFORMED, "line 1"},       {"/a\n./b\n", 7, ERR_MALFORMED, "line 2"},
            {"/a\n /b\n", 7, ERR_MALFORMED, "line 2"}, {"/a\r\n", 4, ERR_MALFORMED, "control"},
            {"/a\0b\n", 5, ERR_MALFORMED, "control"},  {"/a\x1b[2J\n", 7, ERR_MALFORMED, "control"},
            {"/a/../b\n", 8, ERR_MALFORMED, "\"..\""}, {"/a/..\n", 6, ERR_MALFORMED, "\"..\""},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct err err = {0};
                struct list list = {.n = 77};

                assert_int_equal(list_parse(rows[i].text, rows[i].len, &list, &err), rows[i].code);
                assert_non_null(strstr(err.text, rows[i].words));
                assert_int_equal(list.n, 77);
        }
}

static void keeps_to_its_limits(void **state)
{
        struct err err = {0};
        struct list list = {0};
        char *text = malloc(LIST_BYTES_MAX + 1);

        (void)state;
        assert_non_null(text);
        memset(text, 'x', LIST_BYTES_MAX + 1);
        text[0] = '/';
        assert_int_equal(list_parse(text, LONG_PATH_LEN, &list, &err), ERR_MALFORMED);
        assert_int_equal(list_parse(text, LIST_BYTES_MAX + 1, &list, &err), ERR_LIMIT);
        for (size_t i = 0; i < ROW * (LIST_ENTRIES_MAX + 1); i++)
                text[i] = "/a\n"[i % ROW];
        assert_ok(list_parse(text, ROW * LIST_ENTRIES_MAX, &list, &err), &err);
        assert_int_equal(list.n, LIST_ENTRIES_MAX);
        list_done(&list);
        assert_int_equal(list_parse(text, ROW * (LIST_ENTRIES_MAX + 1), &list, &err), ERR_LIMIT);
        free(text);
}

static void runs_programs_in_order(void **state)
{
        struct err err = {0};
        char script[PATH_MAX];
        char list[PATH_MAX];
        char text[3 * PATH_MAX];
        struct stat st;

        (void)state;
        (void)snprintf(script, sizeof(script), "%s/program", test_dir());
        (void)snprintf(text, sizeof(text), "#!/bin/sh\n: >\"$0.ran\"\n");
        assert_ok(fs_write_file(script, text, strlen(text), 0700, &err), &err);
        (void)snprintf(list, sizeof(list), "%s/programs", test_dir());
        (void)snprintf(text, sizeof(text), "/nonexistent\n%s\n", script);
        assert_ok(fs_write_file(list, text, strlen(text), 0600, &err), &err);
        assert_ok(init_run_programs(list, &err), &err);
        (void)snprintf(text, sizeof(text), "%s.ran", script);
        assert_int_equal(stat(text, &st), 0);
        assert_ok(init_run_programs("/nonexistent/list", &err), &err);
        assert_ok(init_load_modules("/nonexistent/list", &err), &err);
        assert_ok(fs_write_file(list, "x\n", 2, 0600, &err), &err);
        assert_int_equal(init_run_programs(list, &err), ERR_MALFORMED);
        assert_non_null(strstr(err.text, list));
}

static void add_port(const char *sysfs, const char *port, const char *name)
{
        struct err err = {0};
        char dir[PATH_MAX];
        char file[PATH_MAX];

        (void)snprintf(dir, sizeof(dir), "%s/%s", sysfs, port);
        assert_ok(fs_make_dir(dir, 0700, &err), &err);
        (void)snprintf(file, sizeof(file), "%s/%s/name", sysfs, port);
        if (name != NULL)
                assert_ok(fs_write_file(file, name, strlen(name), 0600, &err), &err);
}

static void finds_the_port_by_its_name(void **state)
{
        static const struct {
                const char *name;
                int code;
                const char *path;
        } rows[] = {
            {"org.catena.agent.0", 0, "/dev/vport1p2"},
            {"com.redhat.spice.0", 0, "/dev/vport1p1"},
            {"org.catena.agent", ERR_NOT_FOUND, NULL},
            {"org.catena.agent.00", ERR_NOT_FOUND, NULL},
            {"", ERR_NOT_FOUND, NULL},
        };
        char sysfs[PATH_MAX];
        struct err err = {0};
        char path[PATH_MAX] = "poison";

        (void)state;
        (void)snprintf(sysfs, sizeof(sysfs), "%s/virtio-ports", test_dir());
        assert_int_equal(port_find(sysfs, "/dev", "org.catena.agent.0", path, sizeof(path), &err),
                         ERR_NOT_FOUND);
        add_port(sysfs, "vport1p0", NULL); /* its name comes later */
        add_port(sysfs, "vport1p1", "com.redhat.spice.0\n");
        add_port(sysfs, "vport1p2", "org.catena.agent.0\n");
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                (void)snprintf(path, sizeof(path), "poison");
                assert_int_equal(port_find(sysfs, "/dev", rows[i].name, path, sizeof(path), &err),
                                 rows[i].code);
                assert_string_equal(path, rows[i].path == NULL ? "poison" : rows[i].path);
        }
}

static void gives_up_waiting_for_a_port(void **state)
{
        struct err err = {0};
        char path[PATH_MAX];
        int AUTO_FD fd = -1;

        (void)state;
        if (port_watch_open(&fd, &err) != 0) {
                print_message("no uevents here: %s\n", err.text);
                skip();
        }
        assert_int_equal(port_wait(fd, "org.catena.test.none", 20, path, sizeof(path), &err),
                         ERR_TIMEOUT);
        assert_non_null(strstr(err.text, "org.catena.test.none"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(parses_lists),
            cmocka_unit_test(refuses_bad_lists),
            cmocka_unit_test(keeps_to_its_limits),
            cmocka_unit_test(runs_programs_in_order),
            cmocka_unit_test(finds_the_port_by_its_name),
            cmocka_unit_test(gives_up_waiting_for_a_port),
        };
        return cmocka_run_group_tests_name("agent-init", tests, NULL, NULL);
}
