#include "cli/bench-memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fs.h"

#define MEMINFO_MAX  16384
#define SETTLE_TRIES 50
#define SETTLE_NSEC  100000000
#define SETTLED_KB   256

static double meminfo(const char *text, const char *name)
{
        const char *at = strstr(text, name);

        return at == NULL ? 0 : strtod(at + strlen(name), NULL);
}

int bench_memory_used(double *ret_kb, struct err *err)
{
        uint8_t AUTO_FREE *data = NULL;
        const char *text;
        size_t len;

        if (fs_read_file("/proc/meminfo", MEMINFO_MAX, &data, &len, err) != 0)
                return err->code;
        text = (const char *)data;
        *ret_kb =
            meminfo(text, "MemTotal:") - meminfo(text, "MemFree:") - meminfo(text, "Buffers:") -
            (meminfo(text, "\nCached:") - meminfo(text, "Shmem:")) - meminfo(text, "SReclaimable:");
        return 0;
}

int bench_memory_settled(double *ret_kb, struct err *err)
{
        const struct timespec pause = {.tv_nsec = SETTLE_NSEC};
        double last = 0;
        int rc = bench_memory_used(&last, err);

        for (int i = 0; rc == 0 && i < SETTLE_TRIES; i++) {
                double now = 0;

                (void)nanosleep(&pause, NULL);
                rc = bench_memory_used(&now, err);
                if (rc == 0 && now > last - SETTLED_KB && now < last + SETTLED_KB) {
                        *ret_kb = now;
                        return 0;
                }
                last = now;
        }
        *ret_kb = last;
        return rc;
}
