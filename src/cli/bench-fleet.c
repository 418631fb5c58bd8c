#include "cli/bench-fleet.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "cli/bench-figure.h"
#include "cli/bench-memory.h"
#include "cli/bench-target.h"
#include "cli/output.h"

#define SWTPMS        32
#define WAKES_MAX     1000
#define WAKE_BATCH    25
#define QUIET_SEC     4
#define WAKE_GAP_NSEC 2000000  /* between two of them: each is measured by itself */
#define IDLE_GAP_NSEC 20000000 /* and the processors have gone to sleep */

struct member {
        int control;
        int data;
};

struct fleet {
        char dir[64];
        struct bench_target target; /* the host */
        int floor_fd;               /* a file beside the states */
        struct member *members;
        size_t n;
        size_t n_awake;   /* so many of them, the first ones */
        const char *only; /* NULL: all figures */
        double idle_kb;   /* of the whole machine, with every vTPM made and none alive */
};

static const uint8_t startup[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0};

/* ---- the fleet ---- */

static void member_name(size_t i, char ret_name[32])
{
        (void)snprintf(ret_name, 32, "fleet-%zu", i);
}

static int for_all(struct cli *cli, struct fleet *fleet,
                   int (*one)(struct fleet *fleet, size_t i, struct err *err), const char *what,
                   struct err *err)
{
        int rc = 0;

        for (size_t i = 0; rc == 0 && i < fleet->n; i++) {
                if (cli_interrupted())
                        return err_set(err, ERR_INTERRUPTED, "interrupted");
                rc = one(fleet, i, err);
                if (rc != 0)
                        return err_wrap(err, "%s vTPM %zu", what, i);
        }
        (void)cli;
        return rc;
}

static int create_one(struct fleet *fleet, size_t i, struct err *err)
{
        char name[32];

        member_name(i, name);
        return bench_target_create(&fleet->target, name, err);
}

static int run(const struct fleet *fleet, size_t i, const uint8_t *command, size_t len,
               struct err *err)
{
        const struct bench_target target = {.data_fd = fleet->members[i].data};
        uint32_t code = 0;
        int rc = bench_target_run(&target, command, len, &code, err);

        return rc == 0 && code != 0 ? err_set(err, ERR_TPM, "TPM error 0x%x", code) : rc;
}

static int start_one(struct fleet *fleet, size_t i, struct err *err)
{
        struct member *member = &fleet->members[i];
        char name[32];
        int rc;

        member_name(i, name);
        rc = bench_target_attach(&fleet->target, name, &member->control, &member->data, err);
        return rc != 0 ? rc : run(fleet, i, startup, sizeof(startup), err);
}

static int park_one(struct fleet *fleet, size_t i, struct err *err)
{
        struct tcb_vtpm_park park;
        struct tcb_done done;
        char name[32];

        member_name(i, name);
        park.name = wire_text(name);
        return client_call(fleet->target.host.client, tcb_vtpm_park_code, &park, tcb_done_code,
                           &done, sizeof(done), err);
}

/* ---- the figures ---- */

/* Kilobytes of one swtpm, started alike; 0 where there is none. */
static double swtpm_kb(struct cli *cli, const struct fleet *fleet)
{
        struct bench_target targets[SWTPMS];
        struct err err = {0};
        double before = 0;
        double after = 0;
        int rc = bench_memory_settled(&before, &err);
        size_t n = 0;

        for (; rc == 0 && n < SWTPMS; n++) {
                char dir[128];
                uint32_t code;

                (void)snprintf(dir, sizeof(dir), "%s/swtpm-%zu", fleet->dir, n);
                targets[n] = (struct bench_target)BENCH_TARGET_NONE;
                rc = fs_make_dir(dir, 0700, &err);
                if (rc == 0)
                        rc = bench_target_start_swtpm(dir, &targets[n], &err);
                if (rc == 0)
                        rc = bench_target_run(&targets[n], startup, sizeof(startup), &code, &err);
        }
        if (rc == 0)
                rc = bench_memory_settled(&after, &err);
        while (n > 0)
                bench_target_stop(&targets[--n]);
        if (rc != 0)
                cli_note(cli, "no baseline: %s", err.text);
        return rc != 0 ? 0 : (after - before) / SWTPMS;
}

static int print_memory(struct cli *cli, const struct fleet *fleet, const char *name, double base,
                        struct err *err)
{
        double now = 0;
        int rc = bench_memory_settled(&now, err);
        const double each = (now - fleet->idle_kb) / (double)fleet->n;
        json_t *figure;

        if (rc != 0)
                return rc;
        figure = json_pack("{s:s,s:f,s:s,s:I}", "name", name, "value", each, "unit", "kB", "n",
                           (json_int_t)fleet->n);
        if (figure != NULL && base > 0) {
                (void)json_object_set_new(figure, "baseline", json_real(base));
                (void)json_object_set_new(figure, "ratio", json_real(each / base));
        }
        return cli_print_json_line(cli, figure, err);
}

static const struct {
        const char *name;
        long gap_nsec;
        size_t max; /* how many */
} wakes[] = {
    {"wake", WAKE_GAP_NSEC, WAKES_MAX},
    {"wake-burst", 0, WAKES_MAX},
    {"wake-idle", IDLE_GAP_NSEC, WAKES_MAX / 4},
};

/* From the first byte of a parked guest's command to its answer. */
static int wake_one(const struct fleet *fleet, size_t i, double *ret_us, struct err *err)
{
        static const uint8_t get_random[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 16};
        const double start = bench_now_us();
        int rc = run(fleet, i, get_random, sizeof(get_random), err);

        if (rc == 0)
                *ret_us = bench_now_us() - start;
        return rc;
}

/* What the disk alone takes to make a page durable: a wake cannot do with less. */
static int write_one(const struct fleet *fleet, double *ret_us, struct err *err)
{
        static uint8_t page[4096];
        const double start = bench_now_us();

        page[0]++;
        if (pwrite(fleet->floor_fd, page, sizeof(page), 0) != (ssize_t)sizeof(page) ||
            fdatasync(fleet->floor_fd) < 0)
                return err_set_errno(err, errno, "write to the file system");
        *ret_us = bench_now_us() - start;
        return 0;
}

struct wake_times {
        double *wakes; /* in microseconds */
        double *writes;
        size_t n;
};

static int run_batch(const struct fleet *fleet, long gap_nsec, const struct wake_times *times,
                     size_t from, bool wakes_now, struct err *err)
{
        const struct timespec gap = {.tv_nsec = gap_nsec};
        int rc = 0;

        for (size_t i = from; rc == 0 && i < times->n && i < from + WAKE_BATCH; i++) {
                if (cli_interrupted())
                        return err_set(err, ERR_INTERRUPTED, "interrupted");
                if (gap_nsec > 0)
                        (void)nanosleep(&gap, NULL);
                rc = wakes_now ? wake_one(fleet, i, &times->wakes[i], err)
                               : write_one(fleet, &times->writes[i], err);
        }
        return rc == 0 ? 0 : err_wrap(err, "wake");
}

/* Batches of wakes and of the disk's writes take turns, each as long after the one before. */
static int wake_all(const struct fleet *fleet, long gap_nsec, const struct wake_times *times,
                    struct err *err)
{
        int rc = 0;

        for (size_t from = 0; rc == 0 && from < times->n; from += WAKE_BATCH) {
                rc = run_batch(fleet, gap_nsec, times, from, true, err);
                if (rc == 0)
                        rc = run_batch(fleet, gap_nsec, times, from, false, err);
        }
        return rc;
}

static int print_wakes(struct cli *cli, const char *name, const struct wake_times *times,
                       double stolen, struct err *err)
{
        const size_t n = times->n;

        bench_sort(times->wakes, n);
        bench_sort(times->writes, n);
        return cli_print_json_line(
            cli,
            json_pack("{s:s,s:f,s:f,s:s,s:I,s:f,s:f,s:f,s:f}", "name", name, "value",
                      times->wakes[n / 2], "p99", times->wakes[n * 99 / 100], "unit", "us", "n",
                      (json_int_t)n, "baseline", times->writes[n / 2], "baseline_p99",
                      times->writes[n * 99 / 100], "ratio",
                      times->wakes[n / 2] / times->writes[n / 2], "stolen", stolen),
            err);
}

static int measure_wakes(struct cli *cli, struct fleet *fleet, size_t which, struct err *err)
{
        const size_t n = fleet->n < wakes[which].max ? fleet->n : wakes[which].max;
        double AUTO_FREE *us = calloc(n + 1, 2 * sizeof(*us));
        const struct wake_times times = {.wakes = us, .writes = us + n + 1, .n = n};
        struct bench_ticks start;
        int rc;

        bench_ticks_now(&start);
        rc = us == NULL ? err_set(err, ERR_NO_MEMORY, "out of memory")
                        : wake_all(fleet, wakes[which].gap_nsec, &times, err);
        if (rc != 0)
                return rc;
        fleet->n_awake = n;
        return print_wakes(cli, wakes[which].name, &times, bench_stolen_since(&start), err);
}

static bool is_wanted(const struct fleet *fleet, const char *name)
{
        return bench_is_wanted(fleet->only, name);
}

static bool is_memory_wanted(const struct fleet *fleet)
{
        return is_wanted(fleet, "memory-live") || is_wanted(fleet, "memory-parked");
}

/* The TCB gives back what parking left over after a quiet second. */
static int park_all(struct fleet *fleet, struct err *err)
{
        int rc = 0;

        if (fleet->n_awake == 0)
                return 0;
        for (; rc == 0 && fleet->n_awake > 0; fleet->n_awake--)
                rc = park_one(fleet, fleet->n_awake - 1, err);
        if (rc != 0)
                return err_wrap(err, "park vTPM %zu", fleet->n_awake);
        (void)nanosleep(&(struct timespec){.tv_sec = QUIET_SEC}, NULL);
        return cli_interrupted() ? err_set(err, ERR_INTERRUPTED, "interrupted") : 0;
}

static int open_floor(struct fleet *fleet, struct err *err)
{
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/floor", fleet->dir);
        fleet->floor_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        return fleet->floor_fd < 0 ? err_set_errno(err, errno, "open %s", path) : 0;
}

static int measure_parked(struct cli *cli, struct fleet *fleet, struct err *err)
{
        int rc = open_floor(fleet, err);

        if (rc == 0 && is_wanted(fleet, "memory-parked")) {
                rc = park_all(fleet, err);
                if (rc == 0)
                        rc = print_memory(cli, fleet, "memory-parked", 0, err);
        }
        for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(wakes); i++) {
                if (!is_wanted(fleet, wakes[i].name))
                        continue;
                rc = park_all(fleet, err);
                if (rc == 0)
                        rc = measure_wakes(cli, fleet, i, err);
        }
        return rc;
}

static int run_all(struct cli *cli, struct fleet *fleet, struct err *err)
{
        double base = 0;
        int rc = bench_target_start_host(cli, fleet->dir, &fleet->target, err);

        if (rc == 0)
                rc = for_all(cli, fleet, create_one, "make", err);
        if (rc == 0 && is_wanted(fleet, "memory-live"))
                base = swtpm_kb(cli, fleet);
        if (rc == 0 && is_memory_wanted(fleet))
                rc = bench_memory_settled(&fleet->idle_kb, err);
        if (rc == 0)
                rc = for_all(cli, fleet, start_one, "start", err);
        fleet->n_awake = fleet->n;
        if (rc == 0 && is_wanted(fleet, "memory-live"))
                rc = print_memory(cli, fleet, "memory-live", base, err);
        return rc == 0 ? measure_parked(cli, fleet, err) : rc;
}

static void clean_up(struct cli *cli, struct fleet *fleet)
{
        struct err err = {0};

        for (size_t i = 0; i < fleet->n; i++) {
                fd_close(&fleet->members[i].data);
                fd_close(&fleet->members[i].control);
        }
        bench_target_stop(&fleet->target);
        fd_close(&fleet->floor_fd);
        free(fleet->members);
        if (fs_remove_tree(fleet->dir, &err) != 0)
                cli_note(cli, "%s", err.text);
}

int bench_fleet(struct cli *cli, const char *base, size_t n, const char *only, struct err *err)
{
        struct fleet fleet = {.target = BENCH_TARGET_NONE, .floor_fd = -1, .n = n, .only = only};
        int rc;

        if (snprintf(fleet.dir, sizeof(fleet.dir), "%s/catena-fleet-XXXXXX", base) >=
                (int)sizeof(fleet.dir) ||
            mkdtemp(fleet.dir) == NULL)
                return err_set(err, ERR_IO, "cannot make a directory in %s", base);
        fleet.members = calloc(n, sizeof(fleet.members[0]));
        for (size_t i = 0; fleet.members != NULL && i < n; i++)
                fleet.members[i] = (struct member){-1, -1};
        rc = fleet.members == NULL ? err_set(err, ERR_NO_MEMORY, "out of memory")
                                   : run_all(cli, &fleet, err);
        clean_up(cli, &fleet);
        return rc;
}
