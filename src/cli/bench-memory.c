#include "cli/bench-memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"

#define MEMINFO_MAX  16384
#define ZONEINFO_MAX (16U << 20)
#define SETTLE_TRIES 50
#define SETTLE_NSEC  100000000
#define SETTLED_KB   256

static double meminfo(const char *text, const char *name)
{
        const char *at = strstr(text, name);

        return at == NULL ? 0 : strtod(at + strlen(name), NULL);
}

/*
 * Pages that the kernel keeps free for each processor. MemFree leaves them out, and since 6.7 they
 * are hundreds of megabytes after thousands of processes have ended.
 */
static int kept_free_kb(double *ret_kb, struct err *err)
{
        static const char count[] = "\n              count:";
        uint8_t AUTO_FREE *data = NULL;
        double pages = 0;
        size_t len;

        if (fs_read_file("/proc/zoneinfo", ZONEINFO_MAX, &data, &len, err) != 0)
                return err->code;
        for (const char *at = strstr((const char *)data, count); at != NULL;
             at = strstr(at, count)) {
                at += sizeof(count) - 1;
                pages += strtod(at, NULL);
        }
        *ret_kb = pages * (double)sysconf(_SC_PAGESIZE) / 1024;
        return 0;
}

int bench_memory_used(double *ret_kb, struct err *err)
{
        uint8_t AUTO_FREE *data = NULL;
        double kept_free = 0;
        const char *text;
        size_t len;

        if (fs_read_file("/proc/meminfo", MEMINFO_MAX, &data, &len, err) != 0 ||
            kept_free_kb(&kept_free, err) != 0)
                return err->code;
        text = (const char *)data;
        *ret_kb = meminfo(text, "MemTotal:") - meminfo(text, "MemFree:") - kept_free -
                  meminfo(text, "Buffers:") -
                  (meminfo(text, "\nCached:") - meminfo(text, "Shmem:")) -
                  meminfo(text, "SReclaimable:");
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
