/*
 * What the bench verbs measure with: a clock, and numbers in order.
 */
#ifndef CLI_BENCH_FIGURE_H
#define CLI_BENCH_FIGURE_H

#include <stddef.h>

/* Microseconds of the monotonic clock. */
double bench_now_us(void);

/* Puts values in ascending order. */
void bench_sort(double *values, size_t n);

/* The median; 0 of none. Sorts them. */
double bench_median(double *values, size_t n);

#endif
