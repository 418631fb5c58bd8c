#include "cli/bench-figure.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fs.h"

#define STAT_MAX   (1U << 20)
#define STAT_KINDS 8 /* user, nice, system, idle, iowait, irq, softirq, steal */

double bench_now_us(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
        const double x = *(const double *)a;
        const double y = *(const double *)b;

        return (x > y) - (x < y);
}

void bench_sort(double *values, size_t n)
{
        qsort(values, n, sizeof(values[0]), compare);
}

double bench_median(double *values, size_t n)
{
        if (n == 0)
                return 0;
        bench_sort(values, n);
        return values[n / 2];
}

void bench_ticks_now(struct bench_ticks *ret_now)
{
        uint8_t AUTO_FREE *text = NULL;
        struct bench_ticks now = {0};
        struct err ignored = {0};
        size_t len;
        char *at;

        if (fs_read_file("/proc/stat", STAT_MAX, &text, &len, &ignored) == 0 &&
            strncmp((const char *)text, "cpu ", 4) == 0) {
                at = (char *)text + 4;
                for (int i = 0; i < STAT_KINDS; i++) {
                        now.stolen = strtod(at, &at);
                        now.all += now.stolen;
                }
        }
        *ret_now = now;
}

double bench_stolen_since(const struct bench_ticks *start)
{
        struct bench_ticks now;

        bench_ticks_now(&now);
        return now.all > start->all ? (now.stolen - start->stolen) / (now.all - start->all) : 0;
}

bool bench_is_wanted(const char *only, const char *name)
{
        return only == NULL || strncmp(name, only, strlen(only)) == 0;
}
