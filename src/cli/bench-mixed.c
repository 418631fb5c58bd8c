/*
 * catena bench fleet: a machine full of vTPMs, most of them parked, and how long a random command
 * to a random one takes.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "cli/bench-figure.h"
#include "cli/bench-memory.h"
#include "cli/bench-shard.h"
#include "cli/output.h"

#define SHARDS_MAX       64
#define VTPMS_DEFAULT    20000
#define VTPMS_MAX        200000
#define COMMANDS_DEFAULT 10000
#define COMMANDS_MAX     10000000
#define LIVE_PART        10 /* one of so many, unless said otherwise */
#define SEED_DEFAULT     20000
#define PROGRESS_EVERY   100

static const struct cli_option fleet_options[] = {
    {"count", 'n', "N", "vTPMs (default 20000)", 0},
    {"live", 0, "N", "of which so many stay alive; the others are parked (default a tenth)", 0},
    {"commands", 0, "N", "random commands to random vTPMs (default 10000)", 0},
    {"seed", 0, "N", "what is random follows from it (default 20000)", 0},
    {"dir", 0, "DIR", "where states are written (default TMPDIR or /tmp)", 0},
    {0},
};

struct part {
        struct bench_shard_plan plan;
        int socket;
        pid_t pid;
        bool ready;
        uint64_t made;
        uint64_t up;
        uint64_t bytes;
};

struct samples {
        double *us;
        size_t n;
};

struct bench {
        char dir[64];
        size_t vtpms;
        size_t live;
        size_t commands;
        uint64_t random;
        struct part parts[SHARDS_MAX];
        size_t n_parts;
        struct samples hits[2]; /* of live and of parked ones */
        double before_kb;
        double each_kb;
};

/* splitmix64 (Steele, Lea, Flood, 2014): the same numbers on every machine. */
static uint64_t draw(struct bench *bench, uint64_t below)
{
        uint64_t z = bench->random += 0x9e3779b97f4a7c15U;

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
        z = (z ^ z >> 27) * 0x94d049bb133111ebU;
        return (z ^ z >> 31) % below;
}

/* ---- the shards ---- */

static int plan_parts(struct cli *cli, struct bench *bench, struct err *err)
{
        const size_t most = bench_shard_most();
        size_t left = bench->vtpms;
        size_t live = bench->live;

        bench->n_parts = (bench->vtpms + most - 1) / most;
        if (bench->n_parts > SHARDS_MAX)
                return err_set(err, ERR_LIMIT, "the limit of open files (ulimit -Hn) is too low");
        if (bench->n_parts > 1)
                cli_note(cli,
                         "the limit of open files lets one host have %zu vTPMs: %zu hosts share "
                         "them",
                         most, bench->n_parts);
        for (size_t i = 0; i < bench->n_parts; i++) {
                struct part *part = &bench->parts[i];

                part->plan.n = left / (bench->n_parts - i);
                part->plan.live = live / (bench->n_parts - i);
                left -= part->plan.n;
                live -= part->plan.live;
                (void)snprintf(part->plan.dir, sizeof(part->plan.dir), "%s/%zu", bench->dir, i);
                if (fs_make_dir(part->plan.dir, 0700, err) != 0 ||
                    bench_shard_start(cli, &part->plan, &part->socket, &part->pid, err) != 0)
                        return err->code;
        }
        return 0;
}

static int take_message(struct part *part, struct bench_shard_message *ret, struct err *err)
{
        const ssize_t n = recv(part->socket, ret, sizeof(*ret), 0);

        if (n < 0 && errno == EINTR)
                return err_set(err, ERR_INTERRUPTED, "interrupted");
        if (n != sizeof(*ret))
                return err_set(err, ERR_FAILED, "a part of the fleet ended");
        if (ret->kind == BENCH_SHARD_FAILED) {
                ret->text[sizeof(ret->text) - 1] = '\0';
                return err_set(err, ret->code < 0 ? ret->code : ERR_FAILED, "%s", ret->text);
        }
        return 0;
}

static void show_progress(struct cli *cli, const struct bench *bench)
{
        uint64_t made = 0;
        uint64_t up = 0;

        for (size_t i = 0; i < bench->n_parts; i++) {
                made += bench->parts[i].made;
                up += bench->parts[i].up;
        }
        cli_progress(cli, "%llu of %zu vTPMs made, %llu started", (unsigned long long)made,
                     bench->vtpms, (unsigned long long)up);
}

static int take_note(struct part *part, struct err *err)
{
        struct bench_shard_message message;
        int rc = take_message(part, &message, err);

        if (rc != 0)
                return rc;
        if (message.kind == BENCH_SHARD_MADE)
                part->made = message.done;
        if (message.kind == BENCH_SHARD_UP)
                part->up = message.done;
        if (message.kind == BENCH_SHARD_READY) {
                part->bytes = message.done;
                part->ready = true;
        }
        return 0;
}

static bool all_ready(const struct bench *bench)
{
        for (size_t i = 0; i < bench->n_parts; i++)
                if (!bench->parts[i].ready)
                        return false;
        return true;
}

static int wait_ready(struct cli *cli, struct bench *bench, struct err *err)
{
        int rc = 0;

        while (rc == 0 && !all_ready(bench)) {
                struct pollfd polls[SHARDS_MAX];

                for (size_t i = 0; i < bench->n_parts; i++)
                        polls[i] = (struct pollfd){.fd = bench->parts[i].socket, .events = POLLIN};
                if (poll(polls, bench->n_parts, -1) < 0 && errno != EINTR)
                        return err_set_errno(err, errno, "poll");
                if (cli_interrupted())
                        return err_set(err, ERR_INTERRUPTED, "interrupted");
                for (size_t i = 0; rc == 0 && i < bench->n_parts; i++)
                        if (polls[i].revents != 0)
                                rc = take_note(&bench->parts[i], err);
                show_progress(cli, bench);
        }
        return rc;
}

/* ---- commands ---- */

static int run_one(struct bench *bench, struct err *err)
{
        struct bench_shard_task task = {.member = (size_t)draw(bench, bench->vtpms)};
        struct part *part = bench->parts;
        struct bench_shard_message answer;
        struct samples *hits;
        int rc;

        task.command = (size_t)draw(bench, BENCH_SHARD_COMMANDS);
        while (task.member >= part->plan.n)
                task.member -= (part++)->plan.n;
        if (send(part->socket, &task, sizeof(task), MSG_NOSIGNAL) != sizeof(task))
                return err_set(err, ERR_FAILED, "a part of the fleet ended");
        rc = take_message(part, &answer, err);
        if (rc != 0)
                return rc;
        hits = &bench->hits[answer.parked];
        hits->us[hits->n++] = answer.us;
        return 0;
}

static int run_commands(struct cli *cli, struct bench *bench, struct err *err)
{
        int rc = 0;

        for (size_t i = 0; rc == 0 && i < bench->commands; i++) {
                if (i % PROGRESS_EVERY == 0)
                        cli_progress(cli, "%zu of %zu commands", i, bench->commands);
                rc = cli_interrupted() ? err_set(err, ERR_INTERRUPTED, "interrupted")
                                       : run_one(bench, err);
        }
        return rc;
}

/* ---- figures ---- */

static int print_times(struct cli *cli, const struct bench *bench, const char *suffix,
                       struct samples *samples, struct err *err)
{
        const size_t n = samples->n;
        char name[48];

        if (n == 0)
                return 0;
        bench_sort(samples->us, n);
        (void)snprintf(name, sizeof(name), "fleet-%zu%s", bench->vtpms, suffix);
        return cli_print_json_line(cli,
                                   json_pack("{s:s,s:f,s:f,s:f,s:s,s:I}", "name", name, "value",
                                             samples->us[n / 2], "p99", samples->us[n * 99 / 100],
                                             "max", samples->us[n - 1], "unit", "us", "n",
                                             (json_int_t)n),
                                   err);
}

static int print_all_times(struct cli *cli, struct bench *bench, struct err *err)
{
        struct samples all = {.n = bench->hits[0].n + bench->hits[1].n};
        double AUTO_FREE *us = calloc(all.n + 1, sizeof(*us));
        int rc;

        if (us == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        all.us = us;
        memcpy(us, bench->hits[0].us, bench->hits[0].n * sizeof(*us));
        memcpy(us + bench->hits[0].n, bench->hits[1].us, bench->hits[1].n * sizeof(*us));
        rc = print_times(cli, bench, "", &all, err);
        if (rc == 0)
                rc = print_times(cli, bench, "-live", &bench->hits[0], err);
        return rc != 0 ? rc : print_times(cli, bench, "-parked", &bench->hits[1], err);
}

/* What it took: kilobytes for each, of the whole machine's memory and of the stores. */
static int print_room(struct cli *cli, const struct bench *bench, struct err *err)
{
        uint64_t bytes = 0;
        char name[48];
        int rc;

        for (size_t i = 0; i < bench->n_parts; i++)
                bytes += bench->parts[i].bytes;
        (void)snprintf(name, sizeof(name), "fleet-%zu-memory", bench->vtpms);
        rc = cli_print_json_line(
            cli,
            json_pack("{s:s,s:f,s:s,s:I,s:I,s:I}", "name", name, "value", bench->each_kb, "unit",
                      "kB", "n", (json_int_t)bench->vtpms, "live", (json_int_t)bench->live, "hosts",
                      (json_int_t)bench->n_parts),
            err);
        if (rc != 0)
                return rc;
        (void)snprintf(name, sizeof(name), "fleet-%zu-disk", bench->vtpms);
        return cli_print_json_line(cli,
                                   json_pack("{s:s,s:f,s:s,s:I}", "name", name, "value",
                                             (double)bytes / 1024 / (double)bench->vtpms, "unit",
                                             "kB", "n", (json_int_t)bench->vtpms),
                                   err);
}

static int run_all(struct cli *cli, struct bench *bench, struct err *err)
{
        double after_kb = 0;
        int rc = bench_memory_settled(&bench->before_kb, err);

        if (rc == 0)
                rc = plan_parts(cli, bench, err);
        if (rc == 0)
                rc = wait_ready(cli, bench, err);
        if (rc == 0)
                rc = bench_memory_settled(&after_kb, err);
        bench->each_kb = (after_kb - bench->before_kb) / (double)bench->vtpms;
        if (rc == 0)
                rc = run_commands(cli, bench, err);
        cli_progress_end(cli);
        if (rc == 0)
                rc = print_all_times(cli, bench, err);
        return rc == 0 ? print_room(cli, bench, err) : rc;
}

/* They end by themselves when nobody speaks to them any more. */
static void clean_up(struct cli *cli, struct bench *bench)
{
        struct err err = {0};

        cli_progress(cli, "cleaning up");
        for (size_t i = 0; i < bench->n_parts; i++)
                fd_close(&bench->parts[i].socket);
        for (size_t i = 0; i < bench->n_parts; i++)
                while (bench->parts[i].pid > 0 && waitpid(bench->parts[i].pid, NULL, 0) < 0 &&
                       errno == EINTR)
                        ;
        cli_progress_end(cli);
        if (fs_remove_tree(bench->dir, &err) != 0)
                cli_note(cli, "%s", err.text);
        free(bench->hits[0].us);
        free(bench->hits[1].us);
}

static int read_options(struct cli *cli, struct bench *bench, struct err *err)
{
        uint64_t vtpms = 0;
        uint64_t live = 0;
        uint64_t commands = 0;
        int rc = cli_option_number(cli, "count", 1, VTPMS_MAX, VTPMS_DEFAULT, &vtpms, err);

        if (rc == 0)
                rc = cli_option_number(cli, "live", 0, vtpms, vtpms / LIVE_PART, &live, err);
        if (rc == 0)
                rc = cli_option_number(cli, "commands", 1, COMMANDS_MAX, COMMANDS_DEFAULT,
                                       &commands, err);
        if (rc == 0)
                rc = cli_option_number(cli, "seed", 0, UINT32_MAX, SEED_DEFAULT, &bench->random,
                                       err);
        bench->vtpms = (size_t)vtpms;
        bench->live = (size_t)live;
        bench->commands = (size_t)commands;
        return rc;
}

static int run_fleet(struct cli *cli, struct err *err)
{
        const char *base = cli_option(cli, "dir");
        struct bench AUTO_FREE *bench = calloc(1, sizeof(*bench));
        int rc;

        if (bench == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        rc = read_options(cli, bench, err);
        if (rc != 0)
                return rc;
        if (base == NULL)
                base = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";
        if (snprintf(bench->dir, sizeof(bench->dir), "%s/catena-mixed-XXXXXX", base) >=
                (int)sizeof(bench->dir) ||
            mkdtemp(bench->dir) == NULL)
                return err_set(err, ERR_IO, "cannot make a directory in %s", base);
        for (size_t i = 0; i < SHARDS_MAX; i++)
                bench->parts[i].socket = -1;
        bench->hits[0].us = calloc(bench->commands, sizeof(double));
        bench->hits[1].us = calloc(bench->commands, sizeof(double));
        rc = bench->hits[0].us == NULL || bench->hits[1].us == NULL
                 ? err_set(err, ERR_NO_MEMORY, "out of memory")
                 : run_all(cli, bench, err);
        clean_up(cli, bench);
        return rc;
}

const struct cli_verb cli_bench_mixed_verbs[] = {
    {"bench", "fleet", "", "measure random commands to random vTPMs of a machine full of them",
     "Makes 20,000 vTPMs, leaves a tenth of them alive, parks the others and sends random commands "
     "(GetRandom, Extend, Read, NV_Increment) to random ones, one at a time: microseconds from the "
     "command's first byte to its answer, of all (fleet-20000), of live and of parked ones, which "
     "are parked again afterwards; and kilobytes of memory, kernel and TCB included, and of disk "
     "for each. Where the limit of open files (ulimit -Hn) is too low for one host with so many, "
     "several share them.\n\n"
     "It takes some minutes and about 10 GB of memory.",
     fleet_options, run_fleet},
    {0},
};
