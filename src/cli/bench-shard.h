/*
 * A part of the fleet that catena bench fleet measures: a process of its own with a TCB and the
 * guests' ends of its vTPMs, told by messages which vTPM gets which command.
 */
#ifndef CLI_BENCH_SHARD_H
#define CLI_BENCH_SHARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/cli.h"

#define BENCH_SHARD_COMMANDS 4 /* kinds of commands */

struct bench_shard_plan {
        char dir[96]; /* of the states; made */
        size_t n;     /* vTPMs, */
        size_t live;  /* the first so many of which stay alive; the others are parked */
};

enum bench_shard_kind {
        BENCH_SHARD_MADE,   /* so many have been made, */
        BENCH_SHARD_UP,     /* powered on and, where wanted, parked */
        BENCH_SHARD_READY,  /* all; done: bytes of the store */
        BENCH_SHARD_ANSWER, /* to a task */
        BENCH_SHARD_FAILED,
};

struct bench_shard_message {
        enum bench_shard_kind kind;
        bool parked; /* the vTPM was, before its command */
        int code;    /* of the failure */
        uint64_t done;
        double us;
        char text[256]; /* of the failure */
};

struct bench_shard_task {
        size_t member;
        size_t command; /* below BENCH_SHARD_COMMANDS */
};

/*
 * Forks the process. *ret_socket: it sends messages and takes tasks; closed, it cleans up and
 * ends, and so it does when the program is interrupted. The caller reaps *ret_pid.
 */
int bench_shard_start(struct cli *cli, const struct bench_shard_plan *plan, int *ret_socket,
                      pid_t *ret_pid, struct err *err) MUST_CHECK;

/* vTPMs that one shard can have under this process's limit of descriptors. */
size_t bench_shard_most(void);

#endif
