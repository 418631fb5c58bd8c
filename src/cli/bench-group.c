#include "cli/bench-group.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/hex.h"
#include "cli/bench-figure.h"
#include "cli/cli.h"

#define TURNS        15
#define WRITES_ONE   100  /* a turn, of one */
#define WRITES_MANY  1600 /* a turn, of all together */
#define COMMAND_SIZE 128
#define ANSWER_SIZE  4096
#define WAIT_MS      60000

struct group {
        struct bench_target members[BENCH_GROUP]; /* descriptors only */
        uint8_t command[COMMAND_SIZE];
        size_t len;
};

static int add_member(const struct bench_target *target, const char *const *commands, size_t i,
                      struct bench_target *member, struct err *err)
{
        char name[16];
        int rc;

        (void)snprintf(name, sizeof(name), "group%zu", i);
        rc = bench_target_add_vtpm(target, name, &member->control_fd, &member->data_fd, err);
        for (size_t k = 0; rc == 0 && commands[k] != NULL; k++)
                rc = bench_target_run_hex(member, commands[k], err);
        return rc;
}

static int send_write(const struct group *group, size_t i, struct err *err)
{
        const ssize_t n = write(group->members[i].data_fd, group->command, group->len);

        if (n != (ssize_t)group->len)
                return err_set_errno(err, n < 0 ? errno : EIO, "write to a vTPM");
        return 0;
}

/* An answer of NV_Increment is small enough to come at once. */
static int take_answer(const struct group *group, size_t i, struct err *err)
{
        uint8_t answer[ANSWER_SIZE];
        const ssize_t n = read(group->members[i].data_fd, answer, sizeof(answer));

        if (n < 10)
                return err_set(err, ERR_IO, "a vTPM went away");
        if (memcmp(answer + 6, "\0\0\0\0", 4) != 0)
                return err_set(err, ERR_TPM, "TPM error in an answer");
        return 0;
}

static int add_watch(int epoll, const struct group *group, size_t i, struct err *err)
{
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = i};

        if (epoll_ctl(epoll, EPOLL_CTL_ADD, group->members[i].data_fd, &event) < 0)
                return err_set_errno(err, errno, "watch a vTPM");
        return 0;
}

/*
 * The first n members write until there were count writes; each has one under way. With epoll(7),
 * since 64 QEMUs would not ask for 64 sockets at each answer either.
 */
static int run_turn(const struct group *group, size_t n, size_t count, double *ret_rate,
                    struct err *err)
{
        struct epoll_event ready[BENCH_GROUP];
        int AUTO_FD epoll = epoll_create1(EPOLL_CLOEXEC);
        const double start = bench_now_us();
        size_t sent = 0;
        size_t done = 0;
        int rc = epoll < 0 ? err_set_errno(err, errno, "watch vTPMs") : 0;

        for (; sent < n && rc == 0; sent++) {
                rc = add_watch(epoll, group, sent, err);
                if (rc == 0)
                        rc = send_write(group, sent, err);
        }
        while (rc == 0 && done < count) {
                const int k = epoll_wait(epoll, ready, BENCH_GROUP, WAIT_MS);

                if (k <= 0)
                        return err_set(err, ERR_TIMEOUT, "vTPMs do not answer");
                for (int i = 0; i < k && rc == 0; i++) {
                        rc = take_answer(group, ready[i].data.u64, err);
                        done++;
                        if (rc == 0 && sent++ < count)
                                rc = send_write(group, ready[i].data.u64, err);
                }
        }
        *ret_rate = (double)count * 1e6 / (bench_now_us() - start);
        return rc;
}

static int run_turns(const struct group *group, struct bench_rates *ret_rates, struct err *err)
{
        double one[TURNS];
        double many[TURNS];
        int rc = 0;

        for (size_t i = 0; i < TURNS && rc == 0; i++) {
                rc = run_turn(group, 1, WRITES_ONE, &one[i], err);
                if (rc == 0)
                        rc = run_turn(group, BENCH_GROUP, WRITES_MANY, &many[i], err);
                if (rc == 0 && cli_interrupted())
                        rc = err_set(err, ERR_INTERRUPTED, "interrupted");
        }
        if (rc == 0)
                *ret_rates = (struct bench_rates){.one = bench_median(one, TURNS),
                                                  .many = bench_median(many, TURNS)};
        return rc;
}

int bench_group_run(const struct bench_target *target, const char *const *commands,
                    const char *increment, struct bench_rates *ret_rates, struct err *err)
{
        struct group *group = calloc(1, sizeof(*group));
        int rc;

        if (group == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        for (size_t i = 0; i < BENCH_GROUP; i++)
                group->members[i] = (struct bench_target)BENCH_TARGET_NONE;
        rc = hex_decode(increment, strlen(increment), group->command, sizeof(group->command),
                        &group->len);
        for (size_t i = 0; i < BENCH_GROUP && rc == 0; i++)
                rc = add_member(target, commands, i, &group->members[i], err);
        if (rc == 0)
                rc = run_turns(group, ret_rates, err);
        for (size_t i = 0; i < BENCH_GROUP; i++) {
                fd_close(&group->members[i].data_fd);
                fd_close(&group->members[i].control_fd);
        }
        free(group);
        return rc;
}
