#include "cli/bench-shard.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/bench-figure.h"
#include "cli/bench-target.h"

#define NOTE_EVERY    50
#define PARK_TRIES    1000
#define PARK_GAP_NSEC 1000000
#define DESCRIPTORS   ((size_t)2) /* of a vTPM: in the TCB as well as here */
#define RESERVE       2304U       /* a little more than what the TCB keeps back */
#define EMPTY_AUTH    "00000009400000090000000000"
#define CONFIGURATION "\n[vtpm]\npark_after = 0\npark_below = 0\npool = 0\n"

static const char startup[] = "80010000000c000001440000";
static const char define_counter[] =
    "80020000002d0000012a40000001" EMPTY_AUTH "0000000e01500002000b0206001600000008";
static const char increment[] = "80020000001f000001340150000201500002" EMPTY_AUTH;

/* One of each: nothing, a digest, many values, a durable write. */
static const char *const commands[BENCH_SHARD_COMMANDS] = {
    "80010000000c0000017b0010",
    "8002000000410000018200000010" EMPTY_AUTH
    "00000001000b0101010101010101010101010101010101010101010101010101010101010101",
    "8001000000140000017e00000001000b03000001",
    increment,
};

struct member {
        int control;
        int data;
        bool parked;
};

struct shard {
        const struct bench_shard_plan *plan;
        int socket;
        struct bench_target target;
        struct member *members;
};

size_t bench_shard_most(void)
{
        struct rlimit files;

        if (getrlimit(RLIMIT_NOFILE, &files) < 0)
                return 1;
        if (files.rlim_max / 2 <= RESERVE)
                return (size_t)files.rlim_max / (2 * DESCRIPTORS);
        return ((size_t)files.rlim_max - RESERVE) / DESCRIPTORS;
}

/* Whoever does not listen any more has ended: so does this. */
static int say(const struct shard *shard, const struct bench_shard_message *message,
               struct err *err)
{
        if (cli_interrupted() ||
            send(shard->socket, message, sizeof(*message), MSG_NOSIGNAL) != sizeof(*message))
                return err_set(err, ERR_INTERRUPTED, "interrupted");
        return 0;
}

static int note(const struct shard *shard, enum bench_shard_kind kind, size_t done, struct err *err)
{
        const struct bench_shard_message message = {.kind = kind, .done = done};

        if (done % NOTE_EVERY != 0 && done != shard->plan->n)
                return cli_interrupted() ? err_set(err, ERR_INTERRUPTED, "interrupted") : 0;
        return say(shard, &message, err);
}

static int run(const struct member *member, const char *hex, struct err *err)
{
        const struct bench_target target = {.data_fd = member->data};

        return bench_target_run_hex(&target, hex, err);
}

/* Right after a command its engine may still be at it. */
static int park(const struct shard *shard, size_t i, struct err *err)
{
        const struct timespec pause = {.tv_nsec = PARK_GAP_NSEC};
        struct tcb_vtpm_park park;
        char name[32];
        int rc = ERR_CONFLICT;

        (void)snprintf(name, sizeof(name), "fleet-%zu", i);
        park.name = wire_text(name);
        for (int k = 0; rc == ERR_CONFLICT && k < PARK_TRIES && !cli_interrupted(); k++) {
                struct tcb_done done;

                rc = client_call(shard->target.host.client, tcb_vtpm_park_code, &park,
                                 tcb_done_code, &done, sizeof(done), err);
                if (rc == ERR_CONFLICT)
                        (void)nanosleep(&pause, NULL);
        }
        if (rc != 0)
                return err_wrap(err, "park %s", name);
        shard->members[i].parked = true;
        return 0;
}

static int make(struct shard *shard, struct err *err)
{
        int rc = 0;

        for (size_t i = 0; rc == 0 && i < shard->plan->n; i++) {
                char name[32];

                (void)snprintf(name, sizeof(name), "fleet-%zu", i);
                rc = bench_target_create(&shard->target, name, err);
                if (rc != 0)
                        return err_wrap(err, "make %s", name);
                rc = note(shard, BENCH_SHARD_MADE, i + 1, err);
        }
        return rc;
}

static int power_on(struct shard *shard, size_t i, struct err *err)
{
        struct member *member = &shard->members[i];
        char name[32];
        int rc;

        (void)snprintf(name, sizeof(name), "fleet-%zu", i);
        rc = bench_target_attach(&shard->target, name, &member->control, &member->data, err);
        if (rc == 0)
                rc = run(member, startup, err);
        if (rc == 0)
                rc = run(member, define_counter, err);
        if (rc == 0)
                rc = run(member, increment, err);
        if (rc != 0)
                return err_wrap(err, "start %s", name);
        return i < shard->plan->live ? 0 : park(shard, i, err);
}

static int power_all_on(struct shard *shard, struct err *err)
{
        int rc = 0;

        for (size_t i = 0; rc == 0 && i < shard->plan->n; i++) {
                rc = power_on(shard, i, err);
                if (rc == 0)
                        rc = note(shard, BENCH_SHARD_UP, i + 1, err);
        }
        return rc;
}

/* Bytes of the store's files, as the file system counts them. */
static uint64_t store_bytes(const struct shard *shard)
{
        DIR *dir = opendir(shard->target.host.state);
        const struct dirent *entry;
        uint64_t bytes = 0;

        while (dir != NULL && (entry = readdir(dir)) != NULL) {
                struct stat info;

                if (strncmp(entry->d_name, "tcb.", 4) == 0 &&
                    fstatat(dirfd(dir), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0)
                        bytes += (uint64_t)info.st_blocks * 512;
        }
        if (dir != NULL)
                (void)closedir(dir);
        return bytes;
}

/* What was parked is parked again, so that the mix stays what it is. */
static int serve_task(struct shard *shard, const struct bench_shard_task *task, struct err *err)
{
        struct member *member = &shard->members[task->member];
        struct bench_shard_message answer = {.kind = BENCH_SHARD_ANSWER, .parked = member->parked};
        const double start = bench_now_us();
        int rc = run(member, commands[task->command], err);

        answer.us = bench_now_us() - start;
        member->parked = false;
        if (rc == 0 && answer.parked)
                rc = park(shard, task->member, err);
        return rc == 0 ? say(shard, &answer, err) : rc;
}

static int serve_tasks(struct shard *shard, struct err *err)
{
        const struct bench_shard_message ready = {.kind = BENCH_SHARD_READY,
                                                  .done = store_bytes(shard)};
        int rc = say(shard, &ready, err);

        while (rc == 0) {
                struct bench_shard_task task;
                const ssize_t n = recv(shard->socket, &task, sizeof(task), 0);

                if (n == 0)
                        return 0;
                if (n != sizeof(task))
                        return err_set(err, ERR_INTERRUPTED, "interrupted");
                rc = serve_task(shard, &task, err);
        }
        return rc;
}

static void raise_limit(void)
{
        struct rlimit files;

        if (getrlimit(RLIMIT_NOFILE, &files) < 0)
                return;
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
}

static int run_shard(struct cli *cli, struct shard *shard, struct err *err)
{
        char state[PATH_MAX];
        int rc;

        (void)snprintf(state, sizeof(state), "%s/host", shard->plan->dir);
        raise_limit();
        shard->members = calloc(shard->plan->n, sizeof(*shard->members));
        if (shard->members == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        for (size_t i = 0; i < shard->plan->n; i++)
                shard->members[i] = (struct member){.control = -1, .data = -1};
        rc = local_host_start_with(cli, state, "bench", CONFIGURATION, &shard->target.host, err);
        if (rc == 0)
                rc = make(shard, err);
        if (rc == 0)
                rc = power_all_on(shard, err);
        return rc == 0 ? serve_tasks(shard, err) : rc;
}

static void run_process(struct cli *cli, const struct bench_shard_plan *plan, int socket)
{
        struct shard shard = {.plan = plan, .socket = socket, .target = BENCH_TARGET_NONE};
        struct err err = {0};
        int rc = run_shard(cli, &shard, &err);

        if (rc != 0) {
                struct bench_shard_message failed = {.kind = BENCH_SHARD_FAILED, .code = rc};

                (void)snprintf(failed.text, sizeof(failed.text), "%.255s", err.text);
                (void)send(socket, &failed, sizeof(failed), MSG_NOSIGNAL);
        }
        for (size_t i = 0; shard.members != NULL && i < plan->n; i++) {
                fd_close(&shard.members[i].data);
                fd_close(&shard.members[i].control);
        }
        bench_target_stop(&shard.target);
        free(shard.members);
}

int bench_shard_start(struct cli *cli, const struct bench_shard_plan *plan, int *ret_socket,
                      pid_t *ret_pid, struct err *err)
{
        const pid_t parent = getpid();
        int pair[2];
        pid_t pid;
        int rc = fd_socketpair(SOCK_SEQPACKET, pair, err);

        if (rc != 0)
                return rc;
        pid = fork();
        if (pid == 0) {
                fd_close(&pair[0]);
                /* Its daemons die with it in turn. */
                if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) == 0 && getppid() == parent)
                        run_process(cli, plan, pair[1]);
                _exit(0);
        }
        fd_close(&pair[1]);
        if (pid < 0) {
                rc = err_set_errno(err, errno, "fork");
                fd_close(&pair[0]);
                return rc;
        }
        *ret_socket = pair[0];
        *ret_pid = pid;
        return 0;
}
