/*
 * catena bench flood: what a guest notices of others that flood their TPMs. Batches of its commands
 * take turns, with the flood and without.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "base/hex.h"
#include "cli/bench-figure.h"
#include "cli/bench-target.h"
#include "cli/output.h"
#include "wire/engine.h"

#define FLOODERS_MAX  64
#define DEPTH         16 /* commands of a flooder that wait for their answer */
#define BATCH         50
#define COUNT_DEFAULT 1000
#define COUNT_MAX     1000000
#define COMMAND_SIZE  128
#define SEQUENCE_MAX  2
#define EMPTY_AUTH    "00000009400000090000000000"

static const struct cli_option flood_options[] = {
    {"count", 'n', "N", "commands for each figure (default 1000)", 0},
    {"flooders", 0, "N", "guests that flood at a time (default 1, at most 64)", 0},
    {"dir", 0, "DIR", "where states are written (default TMPDIR or /tmp)", 0},
    {0},
};

static const char startup[] = "80010000000c000001440000";
static const char define_counter[] =
    "80020000002d0000012a40000001" EMPTY_AUTH "0000000e01500002000b0206001600000008";
static const char increment[] = "80020000001f000001340150000201500002" EMPTY_AUTH;
static const char get_random[] = "80010000000c0000017b0010";
static const char create_ak[] = "80020000004100000131"
                                "4000000b" EMPTY_AUTH "00040000000000180023"
                                "000b00050472000000100018000b00030010000000000000"
                                "00000000";

/* What a flooder sends over and over. The RSA key is searched anew each time, and given up. */
static const struct flood {
        const char *name;
        const char *sequence[SEQUENCE_MAX];
} floods[] = {
    {"nv", {increment, NULL}},
    {"quote",
     {"80020000004900000158"
      "80000000" EMPTY_AUTH "00200101010101010101010101010101010101010101010101010101010101010101"
      "001000000001000b03ff0000",
      NULL}},
    {"rsa",
     {"80020000004100000131"
      "40000007" EMPTY_AUTH "00040000000000180001000b00050472000000100014000b080000000000"
      "00000000"
      "00000000",
      "80010000000e0000016580000001"}},
};

static const struct {
        const char *name;
        const char *command;
} figures[] = {{"getrandom", get_random}, {"nv-increment", increment}};

/* A process that floods while it may: 'g' starts it, 's' has it stop when all is answered. */
struct flooder {
        pid_t pid;
        int orders;
        int control;
        int data;
};

struct bench {
        char dir[64];
        struct bench_target host;
        int control; /* the guest that is measured */
        int data;
        struct flooder flooders[FLOODERS_MAX];
        size_t n_flooders;
        size_t count;
        double *calm;
        double *flooded;
};

/* ---- the flooder's process ---- */

struct sender {
        int data;
        uint8_t commands[SEQUENCE_MAX][COMMAND_SIZE];
        size_t lens[SEQUENCE_MAX];
        size_t n;
        size_t next;
        size_t waiting; /* for their answers */
};

static int prepare_sender(struct sender *sender, const struct flood *flood)
{
        for (; sender->n < SEQUENCE_MAX && flood->sequence[sender->n] != NULL; sender->n++)
                if (hex_decode(flood->sequence[sender->n], strlen(flood->sequence[sender->n]),
                               sender->commands[sender->n], COMMAND_SIZE,
                               &sender->lens[sender->n]) != 0)
                        return -1;
        return 0;
}

static int send_more(struct sender *sender)
{
        while (sender->waiting < DEPTH * sender->n) {
                if (write(sender->data, sender->commands[sender->next],
                          sender->lens[sender->next]) != (ssize_t)sender->lens[sender->next])
                        return -1;
                sender->next = (sender->next + 1) % sender->n;
                sender->waiting++;
        }
        return 0;
}

/* Whole sequences only: what is under way ends with its last command. */
static int take_answer(struct sender *sender)
{
        uint8_t answer[ENGINE_COMMAND_MAX];
        struct reader r;
        uint32_t size = 0;
        struct err err = {0};

        if (fd_read_exact(sender->data, answer, 6, &err) != 0)
                return -1;
        r = reader_from(answer + 2, 4);
        if (reader_get_be32(&r, &size) != 0 || size < 10 || size > sizeof(answer) ||
            fd_read_exact(sender->data, answer + 6, size - 6, &err) != 0 ||
            memcmp(answer + 6, "\0\0\0\0", 4) != 0)
                return -1;
        sender->waiting--;
        return 0;
}

/* Answers between 'g' and 's'; tells after the first that it goes on, and the number at the end. */
static int flood_once(struct sender *sender, int orders)
{
        uint64_t answers = 0;
        struct pollfd polled = {.fd = orders, .events = POLLIN};

        while (poll(&polled, 1, 0) == 0) {
                if (send_more(sender) != 0 || take_answer(sender) != 0)
                        return -1;
                if (answers++ == 0 && write(orders, "g", 1) != 1)
                        return -1;
        }
        for (; sender->waiting > 0; answers++)
                if (take_answer(sender) != 0)
                        return -1;
        return write(orders, &answers, sizeof(answers)) == sizeof(answers) ? 0 : -1;
}

static void run_flooder(const struct flood *flood, int data, int orders)
{
        struct sender sender = {.data = data};
        char order;

        if (prepare_sender(&sender, flood) != 0)
                return;
        while (read(orders, &order, 1) == 1)
                if (order == 'g' && flood_once(&sender, orders) != 0)
                        return;
}

static int start_flooder(struct flooder *flooder, const struct flood *flood, struct err *err)
{
        const pid_t parent = getpid();
        int pair[2];

        if (fd_socketpair(SOCK_STREAM, pair, err) != 0)
                return err->code;
        flooder->pid = fork();
        if (flooder->pid == 0) {
                fd_close(&pair[0]);
                if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && getppid() == parent)
                        run_flooder(flood, flooder->data, pair[1]);
                _exit(0);
        }
        fd_close(&pair[1]);
        flooder->orders = pair[0];
        return flooder->pid < 0 ? err_set_errno(err, errno, "fork") : 0;
}

static void stop_flooders(struct bench *bench)
{
        for (size_t i = 0; i < bench->n_flooders; i++) {
                struct flooder *flooder = &bench->flooders[i];

                fd_close(&flooder->orders);
                if (flooder->pid > 0)
                        (void)waitpid(flooder->pid, NULL, 0);
                flooder->pid = 0;
        }
}

/* ---- measuring ---- */

/* All at once first, so that they all are at it when the last has said so. */
static int let_flood(const struct bench *bench, struct err *err)
{
        char word;
        int rc = 0;

        for (size_t i = 0; rc == 0 && i < bench->n_flooders; i++)
                rc = fd_write_all(bench->flooders[i].orders, "g", 1, err);
        for (size_t i = 0; rc == 0 && i < bench->n_flooders; i++)
                rc = fd_read_exact(bench->flooders[i].orders, &word, 1, err);
        return rc;
}

static int end_flood(const struct bench *bench, uint64_t *answers, struct err *err)
{
        int rc = 0;

        for (size_t i = 0; rc == 0 && i < bench->n_flooders; i++)
                rc = fd_write_all(bench->flooders[i].orders, "s", 1, err);
        for (size_t i = 0; rc == 0 && i < bench->n_flooders; i++) {
                uint64_t n = 0;

                rc = fd_read_exact(bench->flooders[i].orders, &n, sizeof(n), err);
                *answers += n;
        }
        return rc;
}

static int run_batch(const struct bench *bench, const char *command, double *us, struct err *err)
{
        const struct bench_target guest = {.data_fd = bench->data};
        int rc = 0;

        for (size_t i = 0; rc == 0 && i < BATCH; i++) {
                const double start = bench_now_us();

                rc = bench_target_run_hex(&guest, command, err);
                us[i] = bench_now_us() - start;
        }
        return rc;
}

static int print_figure(struct cli *cli, const struct bench *bench, const char *name, size_t n,
                        uint64_t answers, struct err *err)
{
        bench_sort(bench->calm, n);
        bench_sort(bench->flooded, n);
        return cli_print_json_line(
            cli,
            json_pack("{s:s,s:f,s:f,s:s,s:I,s:f,s:f,s:f,s:I,s:I}", "name", name, "value",
                      bench->flooded[n / 2], "p99", bench->flooded[n * 99 / 100], "unit", "us", "n",
                      (json_int_t)n, "baseline", bench->calm[n / 2], "baseline_p99",
                      bench->calm[n * 99 / 100], "ratio",
                      bench->flooded[n / 2] / bench->calm[n / 2], "flooders",
                      (json_int_t)bench->n_flooders, "flood", (json_int_t)answers),
            err);
}

static int measure(struct cli *cli, struct bench *bench, const char *flood, size_t figure,
                   struct err *err)
{
        const char *command = figures[figure].command;
        uint64_t answers = 0;
        char name[64];
        size_t n = 0;
        int rc = 0;

        while (rc == 0 && n < bench->count && !cli_interrupted()) {
                rc = run_batch(bench, command, bench->calm + n, err);
                if (rc == 0)
                        rc = let_flood(bench, err);
                if (rc == 0)
                        rc = run_batch(bench, command, bench->flooded + n, err);
                if (rc == 0)
                        rc = end_flood(bench, &answers, err);
                n += BATCH;
        }
        if (rc == 0 && cli_interrupted())
                rc = err_set(err, ERR_INTERRUPTED, "interrupted");
        if (rc != 0)
                return err_wrap(err, "flood of %s", flood);
        (void)snprintf(name, sizeof(name), "flood-%s-%s", flood, figures[figure].name);
        return print_figure(cli, bench, name, n, answers, err);
}

static int run_flood(struct cli *cli, struct bench *bench, const struct flood *flood,
                     struct err *err)
{
        int rc = 0;

        for (size_t i = 0; rc == 0 && i < bench->n_flooders; i++)
                rc = start_flooder(&bench->flooders[i], flood, err);
        for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(figures); i++)
                rc = measure(cli, bench, flood->name, i, err);
        stop_flooders(bench);
        return rc;
}

/* ---- the guests ---- */

static int add_guest(const struct bench *bench, const char *name, int *ret_control, int *ret_data,
                     struct err *err)
{
        static const char *const first[] = {startup, define_counter, increment, create_ak};
        int rc = bench_target_add_vtpm(&bench->host, name, ret_control, ret_data, err);
        struct bench_target guest = {.data_fd = -1};

        if (rc == 0)
                guest.data_fd = *ret_data;
        for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(first); i++)
                rc = bench_target_run_hex(&guest, first[i], err);
        return rc == 0 ? 0 : err_wrap(err, "%s", name);
}

static int run_all(struct cli *cli, struct bench *bench, struct err *err)
{
        int rc = bench_target_start_host(cli, bench->dir, &bench->host, err);

        if (rc == 0)
                rc = add_guest(bench, "guest", &bench->control, &bench->data, err);
        for (size_t i = 0; rc == 0 && i < bench->n_flooders; i++) {
                char name[32];

                (void)snprintf(name, sizeof(name), "flooder%zu", i);
                rc = add_guest(bench, name, &bench->flooders[i].control, &bench->flooders[i].data,
                               err);
        }
        for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(floods); i++)
                rc = run_flood(cli, bench, &floods[i], err);
        return rc;
}

static void clean_up(struct cli *cli, struct bench *bench)
{
        struct err err = {0};

        stop_flooders(bench);
        for (size_t i = 0; i < FLOODERS_MAX; i++) {
                fd_close(&bench->flooders[i].data);
                fd_close(&bench->flooders[i].control);
        }
        fd_close(&bench->data);
        fd_close(&bench->control);
        bench_target_stop(&bench->host);
        free(bench->calm);
        free(bench->flooded);
        if (fs_remove_tree(bench->dir, &err) != 0)
                cli_note(cli, "%s", err.text);
}

static int run_bench(struct cli *cli, struct err *err)
{
        const char *base = cli_option(cli, "dir");
        struct bench bench = {.host = BENCH_TARGET_NONE, .control = -1, .data = -1};
        uint64_t count = 0;
        uint64_t flooders = 0;
        int rc = cli_option_number(cli, "count", BATCH, COUNT_MAX, COUNT_DEFAULT, &count, err);

        if (rc == 0)
                rc = cli_option_number(cli, "flooders", 1, FLOODERS_MAX, 1, &flooders, err);
        if (rc != 0)
                return rc;
        bench.count = (size_t)count;
        bench.n_flooders = (size_t)flooders;
        for (size_t i = 0; i < FLOODERS_MAX; i++)
                bench.flooders[i] = (struct flooder){.orders = -1, .control = -1, .data = -1};
        if (base == NULL)
                base = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";
        if (snprintf(bench.dir, sizeof(bench.dir), "%s/catena-flood-XXXXXX", base) >=
                (int)sizeof(bench.dir) ||
            mkdtemp(bench.dir) == NULL)
                return err_set(err, ERR_IO, "cannot make a directory in %s", base);
        bench.calm = calloc(bench.count + BATCH, sizeof(double));
        bench.flooded = calloc(bench.count + BATCH, sizeof(double));
        rc = bench.calm == NULL || bench.flooded == NULL
                 ? err_set(err, ERR_NO_MEMORY, "out of memory")
                 : run_all(cli, &bench, err);
        clean_up(cli, &bench);
        return rc;
}

const struct cli_verb cli_bench_flood_verbs[] = {
    {"bench", "flood", "", "measure a guest's TPM commands while other guests flood theirs",
     "Median microseconds of GetRandom and NV_Increment of one guest while others send as many "
     "commands as their vTPMs take: NV_Increment (flood-nv-...), quotes (flood-quote-...) and new "
     "RSA-2048 keys (flood-rsa-...). The baseline is the same guest without them, in batches that "
     "take turns; flood is the number of commands that the others had answered meanwhile.",
     flood_options, run_bench},
    {0},
};
