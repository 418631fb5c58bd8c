#include "tcb/engine-memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

/* The text of /proc/PID/FILE, as far as it fits; empty when there is none. */
static void read_proc(pid_t pid, const char *file, char *ret_text, size_t size)
{
        char path[64];
        int AUTO_FD fd = -1;
        ssize_t n;

        (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? 0 : read(fd, ret_text, size - 1);
        ret_text[n < 0 ? 0 : n] = '\0';
}

/* The second number of statm is the resident pages (proc(5)). */
static uint64_t rss_of(pid_t pid)
{
        char text[128];
        const char *at;

        read_proc(pid, "statm", text, sizeof(text));
        at = strchr(text, ' ');
        return at == NULL ? 0 : strtoull(at, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t pss_of(pid_t pid)
{
        char text[2048];
        const char *at;

        read_proc(pid, "smaps_rollup", text, sizeof(text));
        at = strstr(text, "\nPss:");
        return at == NULL ? 0 : strtoull(at + 5, NULL, 10) * 1024;
}

struct engine_memory engine_memory_of(pid_t pid, bool precise)
{
        return (struct engine_memory){.rss = rss_of(pid), .pss = precise ? pss_of(pid) : 0};
}
