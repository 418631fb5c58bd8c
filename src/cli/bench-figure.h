/*
 * What the bench verbs measure with: a clock, and numbers in order.
 */
#ifndef CLI_BENCH_FIGURE_H
#define CLI_BENCH_FIGURE_H

#include <stdbool.h>
#include <stddef.h>

/* Microseconds of the monotonic clock. */
double bench_now_us(void);

/* Puts values in ascending order. */
void bench_sort(double *values, size_t n);

/* The median; 0 of none. Sorts them. */
double bench_median(double *values, size_t n);

/*
 * What the host of a virtual machine took of its processors' time (steal in proc(5)) explains
 * times that nothing in the machine does. In clock ticks of all processors; 0 where it is unknown.
 */
struct bench_ticks {
        double all;
        double stolen;
};

/* As many as there were since the machine's start. */
void bench_ticks_now(struct bench_ticks *ret_now);

/* The share that was stolen since then, 0 to 1. */
double bench_stolen_since(const struct bench_ticks *start);

/* Whether this figure was asked for: its name begins with only, or only is NULL. */
bool bench_is_wanted(const char *only, const char *name);

#endif
