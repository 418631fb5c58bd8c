#include "cli/bench-figure.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

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

bool bench_is_wanted(const char *only, const char *name)
{
        return only == NULL || strncmp(name, only, strlen(only)) == 0;
}
