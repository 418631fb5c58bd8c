/*
 * The TCB's configuration: STATE/catena.conf, or /etc/catena/catena.conf without --state.
 */
#ifndef TCB_CONFIG_H
#define TCB_CONFIG_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/conf.h"

struct tcb_config {
        char state[PATH_MAX];    /* --state: database, images, sockets */
        char programs[PATH_MAX]; /* where catena-vtpm and catena-arbiter are: beside us */
        bool supervised;         /* descriptor 3 is our supervisor's; see keeper.h */
        char host_name[64];
        char tcti[256];
        uint64_t ptpm_timeout;    /* seconds; 0 (never in a file): no limit */
        char event_log[PATH_MAX]; /* "": the kernel's, where the pTPM is hardware */
        char ima_log[PATH_MAX];
        char accel[8];
        char qemu[PATH_MAX];
        char ovmf_code[PATH_MAX];
        char ovmf_vars[PATH_MAX];
        uint64_t uid_base;
        uint64_t park_after; /* seconds; 0: never */
        uint64_t park_below; /* percent of memory that is available; 0: never */
        uint64_t engine_nice;
        uint64_t engine_memory;  /* MiB */
        uint64_t engines_memory; /* MiB of all together; 0: no limit */
        uint64_t engines_weight; /* of the CPU */
        uint64_t spares;         /* engines forked in advance */
        uint64_t pool;           /* vTPMs made in advance */
        char sockets[1024];      /* directories, beside that of the state, for vTPMs' sockets */
};

/* The keys that may stand in the file; also the manual's source. */
extern const struct conf_key tcb_config_keys[];
extern const size_t tcb_config_n_keys;

/* Reads file into everything but state and programs, which the caller sets. */
int tcb_config_load(const char *file, struct tcb_config *ret_config, struct err *err) MUST_CHECK;

/* The path of a file in the state directory, or of a program of ours. */
int tcb_config_path(const struct tcb_config *config, const char *name, char ret_path[PATH_MAX],
                    struct err *err) MUST_CHECK;
int tcb_config_program(const struct tcb_config *config, const char *name, char ret_path[PATH_MAX],
                       struct err *err) MUST_CHECK;

#endif
