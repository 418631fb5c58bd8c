/*
 * What the whole machine uses of its memory, for the benchmarks: processes and kernel alike.
 */
#ifndef CLI_BENCH_MEMORY_H
#define CLI_BENCH_MEMORY_H

#include "base/err.h"

/* All memory but what is free or could be at once, files' pages and the kernel's caches; in kB. */
int bench_memory_used(double *ret_kb, struct err *err) MUST_CHECK;

/* The same when it stands still: the kernel gives back by and by what ended processes had. */
int bench_memory_settled(double *ret_kb, struct err *err) MUST_CHECK;

#endif
