/* The groups in a directory with files of the kernel's names, and where there is nothing. */
#include "tcb/cgroup.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "lib/test.h"

static const char *const files[] = {
    "cgroup.procs",       "cgroup.subtree_control", "core/cgroup.procs",
    "core/cpu.weight",    "engines/cgroup.procs",   "engines/cpu.weight",
    "engines/memory.max", "engines/pids.max",       "guests/cgroup.procs",
};

static const struct cgroup_limits limits = {
    .engines_weight = 50, .engines_memory = 1U << 30, .engines_max = 20000};

static void put(int dir, const char *name, const char *text)
{
        int AUTO_FD fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        struct err err = {0};

        assert_true(fd >= 0);
        assert_ok(fd_write_all(fd, text, strlen(text), &err), &err);
}

/* A tree with all files but one. */
static int make_tree(const char *name, const char *without)
{
        char path[4096];
        struct err err = {0};
        int dir;

        assert_ok(fs_join(path, sizeof(path), test_dir(), name, &err), &err);
        assert_int_equal(mkdir(path, 0700), 0);
        dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(dir >= 0);
        assert_int_equal(mkdirat(dir, "core", 0700), 0);
        assert_int_equal(mkdirat(dir, "engines", 0700), 0);
        assert_int_equal(mkdirat(dir, "guests", 0700), 0);
        for (size_t i = 0; i < ARRAY_SIZE(files); i++)
                if (without == NULL || strcmp(files[i], without) != 0)
                        put(dir, files[i], "");
        if (without == NULL || strcmp("cgroup.procs", without) != 0)
                put(dir, "cgroup.procs", "11\n12\n");
        return dir;
}

static void assert_file(int dir, const char *name, const char *text)
{
        uint8_t AUTO_FREE *data = NULL;
        struct err err = {0};
        size_t len = 0;

        assert_ok(fs_read_file_at(dir, name, 4096, &data, &len, &err), &err);
        assert_string_equal((const char *)data, text);
}

static void moves_and_limits(void **state)
{
        int AUTO_FD dir = make_tree("all", NULL);
        struct cgroups groups;

        (void)state;
        cgroups_open_at(dir, &limits, &groups);
        assert_string_equal(groups.words, "");
        /* One write each, which in a real group is one process each. */
        assert_file(dir, "core/cgroup.procs", "1112");
        assert_file(dir, "core/cpu.weight", "1000");
        assert_file(dir, "engines/cpu.weight", "50");
        assert_file(dir, "engines/memory.max", "1073741824");
        assert_file(dir, "engines/pids.max", "20000");
        cgroups_add(&groups, CGROUP_ENGINES, 77);
        cgroups_add(&groups, CGROUP_GUESTS, 78);
        assert_file(dir, "engines/cgroup.procs", "77");
        assert_file(dir, "guests/cgroup.procs", "78");
        cgroups_done(&groups);
}

static void says_what_is_missing(void **state)
{
        static const struct {
                const char *without;
                const char *words;
        } rows[] = {
            {"engines/cpu.weight", "no weight"},
            {"engines/memory.max", "no limit of engines' memory"},
            {"engines/pids.max", "no limit of engines' number"},
            {"cgroup.subtree_control",
             "no weight of the core's over engines', limit of engines' memory together, limit of "
             "engines' number"},
            {"guests/cgroup.procs", "no control groups"},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char name[16];
                struct cgroups groups;
                int AUTO_FD dir = -1;

                (void)snprintf(name, sizeof(name), "row-%zu", i);
                dir = make_tree(name, rows[i].without);
                cgroups_open_at(dir, &limits, &groups);
                if (strncmp(groups.words, rows[i].words, strlen(rows[i].words)) != 0)
                        fail_msg("%s: %s", rows[i].without, groups.words);
                cgroups_add(&groups, CGROUP_ENGINES, 77);
                cgroups_done(&groups);
        }
}

/* A cgroup that nobody gave us is left alone, whatever we could do to it. */
static void leaves_what_is_not_delegated(void **state)
{
        struct cgroups groups;

        (void)state;
        cgroups_open(&limits, &groups);
        if (groups.words[0] == '\0')
                print_message("# this process has a delegated control group\n");
        else
                assert_int_equal(groups.procs[CGROUP_ENGINES], -1);
        cgroups_done(&groups);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(moves_and_limits),
            cmocka_unit_test(says_what_is_missing),
            cmocka_unit_test(leaves_what_is_not_delegated),
        };

        return cmocka_run_group_tests_name("tcb-cgroup", tests, NULL, NULL);
}
