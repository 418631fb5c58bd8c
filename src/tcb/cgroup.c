#include "tcb/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "base/log.h"

#define CORE_WEIGHT 1000
#define PROC_MAX    (1U << 20)

static const char *const names[CGROUP_COUNT] = {
    [CGROUP_CORE] = "core", [CGROUP_ENGINES] = "engines", [CGROUP_GUESTS] = "guests"};

void cgroups_init(struct cgroups *groups)
{
        *groups = (struct cgroups){.procs = {-1, -1, -1}};
}

void cgroups_done(struct cgroups *groups)
{
        for (int i = 0; i < CGROUP_COUNT; i++)
                fd_close(&groups->procs[i]);
}

/* One write(2) a value, as the kernel wants it. 0 or an errno. */
static int put(int dir, const char *file, const char *value)
{
        int AUTO_FD fd = openat(dir, file, O_WRONLY | O_CLOEXEC);

        if (fd < 0)
                return errno;
        return write(fd, value, strlen(value)) == (ssize_t)strlen(value) ? 0 : errno;
}

static int put_number(int dir, const char *file, uint64_t value)
{
        char text[32];

        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
        return put(dir, file, text);
}

static void miss(struct cgroups *groups, const char *what)
{
        const size_t len = strlen(groups->words);

        (void)snprintf(groups->words + len, sizeof(groups->words) - len, "%s%s",
                       len == 0 ? "no " : ", ", what);
}

void cgroups_add(const struct cgroups *groups, enum cgroup_name name, pid_t pid)
{
        char text[32];
        const int n = snprintf(text, sizeof(text), "%d", (int)pid);

        if (groups->procs[name] < 0)
                return;
        /* It may have ended meanwhile; then there is nothing to limit. */
        if (write(groups->procs[name], text, (size_t)n) != n && errno != ESRCH)
                log_warning((&(struct log_fields){.op = "cgroup"}),
                            "process %d stays outside of %s", (int)pid, names[name]);
}

/* A group with members cannot hand controllers down: they all go into the core's, we among them. */
static void empty(int dir, const struct cgroups *groups)
{
        uint8_t AUTO_FREE *text = NULL;
        struct err err = {0};
        char *rest;
        char *line;
        size_t len;

        if (fs_read_file_at(dir, "cgroup.procs", PROC_MAX, &text, &len, &err) != 0)
                return;
        rest = (char *)text;
        while ((line = strsep(&rest, "\n")) != NULL) {
                const long pid = strtol(line, NULL, 10);

                if (pid > 0 && pid <= INT_MAX)
                        cgroups_add(groups, CGROUP_CORE, (pid_t)pid);
        }
}

static int make_groups(int dir, int ret_dirs[CGROUP_COUNT], struct cgroups *groups)
{
        for (int i = 0; i < CGROUP_COUNT; i++) {
                if (mkdirat(dir, names[i], 0755) < 0 && errno != EEXIST)
                        return errno;
                ret_dirs[i] = openat(dir, names[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (ret_dirs[i] < 0)
                        return errno;
                groups->procs[i] = openat(ret_dirs[i], "cgroup.procs", O_WRONLY | O_CLOEXEC);
                if (groups->procs[i] < 0)
                        return errno;
        }
        return 0;
}

static void set_limits(int dir, const int dirs[CGROUP_COUNT], const struct cgroup_limits *limits,
                       struct cgroups *groups)
{
        const int engines = dirs[CGROUP_ENGINES];

        if (put(dir, "cgroup.subtree_control", "+cpu") != 0 ||
            put_number(dirs[CGROUP_CORE], "cpu.weight", CORE_WEIGHT) != 0 ||
            put_number(engines, "cpu.weight", limits->engines_weight) != 0)
                miss(groups, "weight of the core's over engines'");
        if (put(dir, "cgroup.subtree_control", "+memory") != 0 ||
            (limits->engines_memory == 0
                 ? put(engines, "memory.max", "max")
                 : put_number(engines, "memory.max", limits->engines_memory)) != 0)
                miss(groups, "limit of engines' memory together");
        if (put(dir, "cgroup.subtree_control", "+pids") != 0 ||
            put_number(engines, "pids.max", limits->engines_max) != 0)
                miss(groups, "limit of engines' number");
}

void cgroups_open_at(int dir, const struct cgroup_limits *limits, struct cgroups *ret_groups)
{
        int dirs[CGROUP_COUNT] = {-1, -1, -1};
        int errnum;

        cgroups_init(ret_groups);
        errnum = make_groups(dir, dirs, ret_groups);
        if (errnum != 0) {
                cgroups_done(ret_groups);
                (void)snprintf(ret_groups->words, sizeof(ret_groups->words),
                               "no control groups for the core, engines and guests: %s",
                               strerror(errnum));
        } else {
                empty(dir, ret_groups);
                set_limits(dir, dirs, limits, ret_groups);
        }
        for (int i = 0; i < CGROUP_COUNT; i++)
                fd_close(&dirs[i]);
}

/* ---- our own ---- */

/* The rest of the line of a file in /proc that starts, or has, these words. */
static int find_line(const char *path, const char *words, bool at_start, char ret_line[PATH_MAX])
{
        uint8_t AUTO_FREE *text = NULL;
        struct err err = {0};
        char *rest;
        char *line;
        size_t len;

        if (fs_read_file(path, PROC_MAX, &text, &len, &err) != 0)
                return -1;
        rest = (char *)text;
        while ((line = strsep(&rest, "\n")) != NULL)
                if (at_start ? strncmp(line, words, strlen(words)) == 0
                             : strstr(line, words) != NULL) {
                        (void)snprintf(ret_line, PATH_MAX, "%.*s", PATH_MAX - 1,
                                       at_start ? line + strlen(words) : line);
                        return 0;
                }
        return -1;
}

/* The fifth field of a line of mountinfo(5) is where it is mounted. */
static const char *fifth(char *line)
{
        const char *field = NULL;

        for (int i = 0; i < 5; i++)
                field = strsep(&line, " ");
        return field;
}

/* systemd marks what it leaves to a service; nobody else's group is touched. */
static bool is_delegated(int dir)
{
        char value[8] = "";

        return (fgetxattr(dir, "trusted.delegate", value, sizeof(value) - 1) > 0 ||
                fgetxattr(dir, "user.delegate", value, sizeof(value) - 1) > 0) &&
               value[0] == '1';
}

static int open_own(void)
{
        char own[PATH_MAX];
        char mount[PATH_MAX];
        char path[2 * PATH_MAX];
        const char *root;
        char *last;
        int AUTO_FD dir = -1;

        if (find_line("/proc/self/cgroup", "0::", true, own) != 0 ||
            find_line("/proc/self/mountinfo", " - cgroup2 ", false, mount) != 0)
                return -1;
        root = fifth(mount);
        if (root == NULL || strstr(own, "/..") != NULL)
                return -1;
        /* Started again by somebody whom we have moved there. */
        last = strrchr(own, '/');
        if (last != NULL && strcmp(last + 1, names[CGROUP_CORE]) == 0)
                *last = '\0';
        (void)snprintf(path, sizeof(path), "%s%s", root, own);
        dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return dir >= 0 && is_delegated(dir) ? TAKE_FD(dir) : -1;
}

void cgroups_open(const struct cgroup_limits *limits, struct cgroups *ret_groups)
{
        int AUTO_FD dir = open_own();

        if (dir >= 0) {
                cgroups_open_at(dir, limits, ret_groups);
                return;
        }
        cgroups_init(ret_groups);
        (void)snprintf(ret_groups->words, sizeof(ret_groups->words),
                       "no delegated control group (v2): core, engines and guests compete");
}
