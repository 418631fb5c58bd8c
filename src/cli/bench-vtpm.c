/*
 * catena bench vtpm: what a TPM command costs at the socket that QEMU holds, beside swtpm in the
 * same run. Small batches take turns, so that both see the same machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "base/hex.h"
#include "cli/bench-create.h"
#include "cli/bench-figure.h"
#include "cli/bench-fleet.h"
#include "cli/bench-group.h"
#include "cli/bench-target.h"
#include "cli/output.h"
#include "crypto/pkey.h"

#define BATCH             50
#define N_DEFAULT         4000
#define N_MIN             BATCH
#define N_MAX             1000000
#define INSTANCES_DEFAULT 1000
#define FLOOR_BYTES       1400 /* a permanent blob with a counter in it */
#define COMMAND_SIZE      128
#define EMPTY_AUTH        "00000009400000090000000000"

static const struct cli_option vtpm_options[] = {
    {"count", 'n', "N", "commands for each figure (default 4000)", 0},
    {"dir", 0, "DIR", "where states are written; names the file system (default TMPDIR or /tmp)",
     0},
    {"instances", 0, "N",
     "vTPMs that are alive at once for memory-live and what follows (default 1000; 0: none)", 0},
    {"only", 0, "NAME", "only the figures whose names begin so", 0},
    {0},
};

static const char getrandom_command[] = "80010000000c0000017b0010";
static const char startup[] = "80010000000c000001440000";
static const char define_counter[] =
    "80020000002d0000012a40000001" EMPTY_AUTH "0000000e01500002000b0206001600000008";

/* Attestation keys by SHA-256, without the lockout: the first gets handle 80000000, the next one 1.
 */
#define CREATE_AK(type, parameters)                                                                \
        "80020000004100000131" RH_ENDORSEMENT EMPTY_AUTH "0004000000000018" type                   \
        "000b00050472000000" parameters "0000"                                                     \
        "00000000"
#define RH_ENDORSEMENT "4000000b"
#define QUOTE(handle)                                                                              \
        "80020000004900000158" handle EMPTY_AUTH                                                   \
        "00200101010101010101010101010101010101010101010101010101010101010101"                     \
        "001000000001000b03ff0000"

static const char create_ak_p256[] = CREATE_AK("0023", "100018000b0003001000000000");
static const char create_ak_rsa2048[] = CREATE_AK("0001", "100014000b0800000000000000");

enum signer { SIGN_NONE, SIGN_P256, SIGN_RSA2048 };

static const struct {
        const char *name;
        const char *command;
        enum signer sign; /* what the least cost is made of */
} figures[] = {
    {"quote-p256", QUOTE("80000000"), SIGN_P256},
    {"quote-rsa2048", QUOTE("80000001"), SIGN_RSA2048},
    {"getrandom", getrandom_command, SIGN_NONE},
    {"pcr-extend",
     "8002000000410000018200000010" EMPTY_AUTH
     "00000001000b0101010101010101010101010101010101010101010101010101010101010101",
     SIGN_NONE},
    {"pcr-read", "8001000000140000017e00000001000b03000001", SIGN_NONE},
    {"nv-increment", "80020000001f000001340150000201500002" EMPTY_AUTH, SIGN_NONE},
};

struct samples {
        double *us;
        size_t n;
};

struct bench {
        struct bench_target ours;
        struct bench_target swtpm;
        bool has_swtpm;
        char dir[64];
        int floor_fd;
        const char *only; /* NULL: all */
        size_t count;
        struct samples mine;
        struct samples base;
};

static double median(struct samples *samples)
{
        return bench_median(samples->us, samples->n);
}

static int run_batch(const struct bench_target *target, const char *hex, struct samples *samples,
                     struct err *err)
{
        uint8_t command[COMMAND_SIZE];
        size_t len = 0;
        int rc = hex_decode(hex, strlen(hex), command, sizeof(command), &len);

        for (int i = 0; rc == 0 && i < BATCH; i++) {
                const double start = bench_now_us();
                uint32_t code = 0;

                rc = bench_target_run(target, command, len, &code, err);
                samples->us[samples->n++] = bench_now_us() - start;
                if (rc == 0 && code != 0)
                        return err_set(err, ERR_TPM, "TPM error 0x%x", code);
        }
        return rc;
}

static int floor_batch(const struct bench *bench, struct samples *samples, struct err *err)
{
        static uint8_t blob[FLOOR_BYTES];

        for (int i = 0; i < BATCH; i++) {
                const double start = bench_now_us();

                blob[0]++;
                if (pwrite(bench->floor_fd, blob, sizeof(blob), 0) != (ssize_t)sizeof(blob) ||
                    fdatasync(bench->floor_fd) < 0)
                        return err_set_errno(err, errno, "write to the file system");
                samples->us[samples->n++] = bench_now_us() - start;
        }
        return 0;
}

/* The baseline is left out (null) where there is none. */
static int print_figure(struct cli *cli, struct bench *bench, const char *name,
                        const char *filesystem, struct err *err)
{
        const double value = median(&bench->mine);
        const double base = median(&bench->base);
        json_t *figure = json_pack("{s:s,s:f,s:s,s:I}", "name", name, "value", value, "unit", "us",
                                   "n", (json_int_t)bench->mine.n);

        if (figure != NULL && base > 0) {
                (void)json_object_set_new(figure, "baseline", json_real(base));
                (void)json_object_set_new(figure, "ratio", json_real(value / base));
        }
        if (figure != NULL && base <= 0) {
                (void)json_object_set_new(figure, "baseline", json_null());
                (void)json_object_set_new(figure, "ratio", json_null());
        }
        if (figure != NULL && filesystem != NULL)
                (void)json_object_set_new(figure, "filesystem", json_string(filesystem));
        return cli_print_json_line(cli, figure, err);
}

static int sign_once(struct bench *bench, const struct pkey *key, struct err *err)
{
        const uint8_t digest[32] = {1};
        const double start = bench_now_us();
        uint8_t signature[PKEY_RSA_SIZE_MAX];
        size_t len = 0;
        int rc =
            pkey_sign_digest(key, hash_by_tpm_id(HASH_TPM_SHA256), digest, signature, &len, err);

        if (rc == 0)
                rc = bench_target_run_hex(&bench->ours, getrandom_command, err);
        bench->base.us[bench->base.n++] = bench_now_us() - start;
        return rc;
}

/* The same beside the least that it takes: libcrypto's signature and a command that does nothing.
 */
static int measure_sign(struct cli *cli, struct bench *bench, size_t i, struct err *err)
{
        struct pkey AUTO_PKEY *key = NULL;
        char name[32];
        int rc = figures[i].sign == SIGN_P256 ? pkey_generate_ec(PKEY_P256, &key, err)
                                              : pkey_generate_rsa(2048, &key, err);

        bench->mine.n = 0;
        bench->base.n = 0;
        while (rc == 0 && bench->mine.n < bench->count && !cli_interrupted()) {
                rc = run_batch(&bench->ours, figures[i].command, &bench->mine, err);
                for (int n = 0; rc == 0 && n < BATCH; n++)
                        rc = sign_once(bench, key, err);
        }
        (void)snprintf(name, sizeof(name), "%s-floor", figures[i].name);
        return rc != 0 ? rc : print_figure(cli, bench, name, NULL, err);
}

static int measure(struct cli *cli, struct bench *bench, size_t i, struct err *err)
{
        int rc = 0;

        bench->mine.n = 0;
        bench->base.n = 0;
        while (rc == 0 && bench->mine.n < bench->count && !cli_interrupted()) {
                rc = run_batch(&bench->ours, figures[i].command, &bench->mine, err);
                if (rc == 0 && bench->has_swtpm)
                        rc = run_batch(&bench->swtpm, figures[i].command, &bench->base, err);
        }
        if (rc != 0)
                return err_wrap(err, "%s", figures[i].name);
        rc = print_figure(cli, bench, figures[i].name, NULL, err);
        return rc != 0 || figures[i].sign == SIGN_NONE ? rc : measure_sign(cli, bench, i, err);
}

static const char *filesystem_name(int fd)
{
        static const struct {
                unsigned long magic;
                const char *name;
        } names[] = {{0xef53, "ext4"},      {0x58465342, "xfs"},     {0x9123683e, "btrfs"},
                     {0x01021994, "tmpfs"}, {0x794c7630, "overlay"}, {0x2fc12fc1, "zfs"}};
        struct statfs info;

        if (fstatfs(fd, &info) < 0)
                return "unknown";
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if ((unsigned long)info.f_type == names[i].magic)
                        return names[i].name;
        return "other";
}

/* Our durable increment against the least that durability costs on the same file system. */
static int measure_floor(struct cli *cli, struct bench *bench, struct err *err)
{
        const size_t last = ARRAY_SIZE(figures) - 1;
        int rc = 0;

        bench->mine.n = 0;
        bench->base.n = 0;
        while (rc == 0 && bench->mine.n < bench->count && !cli_interrupted()) {
                rc = run_batch(&bench->ours, figures[last].command, &bench->mine, err);
                if (rc == 0)
                        rc = floor_batch(bench, &bench->base, err);
        }
        if (rc != 0)
                return rc;
        return print_figure(cli, bench, "nv-increment-floor", filesystem_name(bench->floor_fd),
                            err);
}

/* Rates, not times: the ratio has to be large. */
static int measure_group(struct cli *cli, struct bench *bench, struct err *err)
{
        const char *increment = figures[ARRAY_SIZE(figures) - 1].command;
        const char *const commands[] = {startup, define_counter, increment, NULL};
        struct bench_rates rates = {0};
        int rc = bench_group_run(&bench->ours, commands, increment, &rates, err);

        if (rc != 0)
                return err_wrap(err, "group-commit-64");
        return cli_print_json_line(cli,
                                   json_pack("{s:s,s:f,s:s,s:i,s:f,s:f}", "name", "group-commit-64",
                                             "value", rates.many, "unit", "1/s", "n", BENCH_GROUP,
                                             "baseline", rates.one, "ratio",
                                             rates.many / rates.one),
                                   err);
}

static int prepare(const struct bench_target *target, struct err *err)
{
        int rc = bench_target_run_hex(target, startup, err);

        if (rc == 0)
                rc = bench_target_run_hex(target, create_ak_p256, err);
        if (rc == 0)
                rc = bench_target_run_hex(target, create_ak_rsa2048, err);
        if (rc == 0)
                rc = bench_target_run_hex(target, define_counter, err);
        if (rc == 0)
                rc = bench_target_run_hex(target, figures[ARRAY_SIZE(figures) - 1].command, err);
        return rc;
}

static int start(struct cli *cli, struct bench *bench, struct err *err)
{
        char floor_path[PATH_MAX];
        int rc = fs_join(floor_path, sizeof(floor_path), bench->dir, "floor", err);

        if (rc != 0)
                return rc;
        bench->floor_fd = open(floor_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (bench->floor_fd < 0)
                return err_set_errno(err, errno, "open %s", floor_path);
        rc = bench_target_start_vtpm(cli, bench->dir, &bench->ours, err);
        if (rc == 0)
                rc = prepare(&bench->ours, err);
        if (rc != 0)
                return rc;
        if (bench_target_start_swtpm(bench->dir, &bench->swtpm, err) != 0) {
                cli_note(cli, "no baseline: %s", err->text);
                return 0;
        }
        bench->has_swtpm = true;
        rc = prepare(&bench->swtpm, err);
        return rc == 0 ? 0 : err_wrap(err, "swtpm");
}

static bool is_wanted(const struct bench *bench, const char *name)
{
        return bench_is_wanted(bench->only, name);
}

static bool is_fleet_wanted(const struct bench *bench)
{
        return is_wanted(bench, "memory-live") || is_wanted(bench, "memory-parked") ||
               is_wanted(bench, "wake") || is_wanted(bench, "wake-burst") ||
               is_wanted(bench, "wake-idle");
}

static bool is_create_wanted(const struct bench *bench)
{
        return is_wanted(bench, "create-p256") || is_wanted(bench, "create-full") ||
               is_wanted(bench, "create-pool");
}

static bool is_command_wanted(const struct bench *bench)
{
        bool wanted = is_wanted(bench, "nv-increment-floor") || is_wanted(bench, "group-commit-64");

        for (size_t i = 0; i < ARRAY_SIZE(figures); i++)
                wanted = wanted || is_wanted(bench, figures[i].name);
        return wanted;
}

static int run_all(struct cli *cli, struct bench *bench, struct err *err)
{
        int rc;

        if (!is_command_wanted(bench) && !is_create_wanted(bench))
                return 0;
        rc = start(cli, bench, err);
        for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(figures); i++)
                if (is_wanted(bench, figures[i].name))
                        rc = measure(cli, bench, i, err);
        if (rc == 0 && is_wanted(bench, "nv-increment-floor"))
                rc = measure_floor(cli, bench, err);
        if (rc == 0 && is_wanted(bench, "group-commit-64"))
                rc = measure_group(cli, bench, err);
        if (rc == 0 && is_create_wanted(bench))
                rc = bench_create(cli, &bench->ours, bench->dir, bench->only, err);
        return rc;
}

static void clean_up(struct cli *cli, struct bench *bench)
{
        struct err err = {0};

        bench_target_stop(&bench->ours);
        bench_target_stop(&bench->swtpm);
        fd_close(&bench->floor_fd);
        free(bench->mine.us);
        free(bench->base.us);
        if (fs_remove_tree(bench->dir, &err) != 0)
                cli_note(cli, "%s", err.text);
}

static int run_vtpm(struct cli *cli, struct err *err)
{
        const char *base = cli_option(cli, "dir");
        struct bench bench = {
            .ours = BENCH_TARGET_NONE,
            .swtpm = BENCH_TARGET_NONE,
            .floor_fd = -1,
            .only = cli_option(cli, "only"),
        };
        uint64_t count = 0;
        uint64_t instances = 0;
        int rc = cli_option_number(cli, "count", N_MIN, N_MAX, N_DEFAULT, &count, err);

        if (rc == 0)
                rc = cli_option_number(cli, "instances", 0, BENCH_FLEET_MAX, INSTANCES_DEFAULT,
                                       &instances, err);
        if (rc != 0)
                return rc;
        if (base == NULL)
                base = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";
        bench.count = (size_t)count;
        if (snprintf(bench.dir, sizeof(bench.dir), "%s/catena-bench-XXXXXX", base) >=
                (int)sizeof(bench.dir) ||
            mkdtemp(bench.dir) == NULL)
                return err_set(err, ERR_IO, "cannot make a directory in %s", base);
        bench.mine.us = calloc(bench.count + BATCH, sizeof(double));
        bench.base.us = calloc(bench.count + BATCH, sizeof(double));
        if (bench.mine.us == NULL || bench.base.us == NULL)
                rc = err_set(err, ERR_NO_MEMORY, "out of memory");
        else
                rc = run_all(cli, &bench, err);
        clean_up(cli, &bench);
        if (rc == 0 && instances > 0 && is_fleet_wanted(&bench) && !cli_interrupted())
                rc = bench_fleet(cli, base, (size_t)instances, bench.only, err);
        return rc;
}

const struct cli_verb cli_bench_vtpm_verbs[] = {
    {"bench", "vtpm", "", "measure TPM commands at the socket that QEMU holds, beside swtpm",
     "Median microseconds of getrandom, pcr-extend, pcr-read and nv-increment, in batches that "
     "take turns with swtpm's, and of nv-increment beside pwrite and fdatasync of as many bytes on "
     "the same file system (nv-increment-floor); and what 64 vTPMs write in a second beside one "
     "(group-commit-64). Milliseconds of making a vTPM with its P-256 key and with all keys, "
     "beside swtpm_setup (create-p256, create-full, create-pool). Kilobytes of the whole machine, "
     "kernel and TCB included, for each of N vTPMs alive beside swtpm's (memory-live), and parked "
     "(memory-parked). Microseconds from a parked one's command to its answer, of one guest after "
     "the other: 2 ms later (wake), at once (wake-burst), or 20 ms later, when the processors "
     "sleep (wake-idle); beside each the time in which the disk alone makes a page durable.\n\n"
     "Our vTPM is one of a TCB started for this: its state is sealed and durable before each "
     "answer; swtpm's is not. Where the machine is virtual, stolen is the share of its processors' "
     "time that its host took meanwhile.",
     vtpm_options, run_vtpm},
    {0},
};
