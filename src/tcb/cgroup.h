/*
 * Three control groups below the TCB's own, where that was delegated to it (Delegate= of its
 * unit): the core's with most of the weight, so that it is served however many guests flood their
 * vTPMs; all engines'; and all guests'. One engine is one thread, so within their group the
 * scheduler gives each guest the same. Nothing here fails: what could not be had is said.
 */
#ifndef TCB_CGROUP_H
#define TCB_CGROUP_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum cgroup_name { CGROUP_CORE, CGROUP_ENGINES, CGROUP_GUESTS, CGROUP_COUNT };

struct cgroup_limits {
        uint64_t engines_weight; /* of the CPU, as guests' is 100 and the core's 1000 */
        uint64_t engines_memory; /* bytes of all engines together; 0: no limit */
        uint64_t engines_max;    /* processes of theirs */
};

struct cgroups {
        int procs[CGROUP_COUNT]; /* their cgroup.procs; -1: there is none */
        char words[200];         /* what is missing, or "" */
};

/* Finds this process's own group and makes the three; moves all processes that are in it. */
void cgroups_open(const struct cgroup_limits *limits, struct cgroups *ret_groups);

/* The same in this directory, for cgroups_open() and tests; closing it is the caller's. */
void cgroups_open_at(int dir, const struct cgroup_limits *limits, struct cgroups *ret_groups);

/* Without any. */
void cgroups_init(struct cgroups *groups);

/* The groups themselves stay: their members do. */
void cgroups_done(struct cgroups *groups);

/* Moves a process, with all its threads, if there is such a group. */
void cgroups_add(const struct cgroups *groups, enum cgroup_name name, pid_t pid);

#endif
