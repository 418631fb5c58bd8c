/*
 * catena bench evlog: how many event logs one core parses and replays a second.
 */
#include <string.h>
#include <time.h>

#include "base/fs.h"
#include "cli/output.h"
#include "evlog/event-type.h"
#include "evlog/logbuild.h"
#include "evlog/replay.h"

#define LOG_SIZE      45000 /* bytes of the log that is made up */
#define SECONDS       2.0
#define BATCH         256
#define VARIABLE_MAX  12000
#define COMMANDS_SIZE 128

static const struct cli_option evlog_options[] = {
    {"log", 0, "FILE", "replay this log instead of the one that is made up", 0},
    {0},
};

static double seconds_now(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
        return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The Secure Boot variables of a machine that follows revocations: two thirds of a real log. */
static int add_variables(struct logbuild *build, struct err *err)
{
        static const struct {
                const char *name;
                size_t size;
        } variables[] = {
            {"SecureBoot", 1}, {"PK", 800}, {"KEK", 1560}, {"db", 3140}, {"dbx", VARIABLE_MAX}};
        static const uint8_t value[VARIABLE_MAX] = {1};

        for (size_t i = 0; i < ARRAY_SIZE(variables); i++) {
                struct writer AUTO_WRITER w = {0};
                struct bytes data;
                int rc;

                writer_init(&w, VARIABLE_MAX + 128);
                logbuild_put_variable(&w, variables[i].name,
                                      (struct bytes){value, variables[i].size});
                data = writer_bytes(&w);
                rc = logbuild_add(build, 7, EV_EFI_VARIABLE_DRIVER_CONFIG, data, data, err);
                if (rc != 0)
                        return rc;
        }
        return 0;
}

static int add_separators(struct logbuild *build, struct err *err)
{
        const struct bytes zeros = {(const uint8_t[4]){0}, 4};

        for (uint32_t pcr = 0; pcr < 8; pcr++) {
                int rc = logbuild_add(build, pcr, EV_SEPARATOR, zeros, zeros, err);

                if (rc != 0)
                        return rc;
        }
        return 0;
}

/* GRUB's commands and files fill the rest. */
static int add_commands(struct logbuild *build, struct err *err)
{
        static const char prefix[] = "grub_cmd: ";

        for (unsigned i = 0; build->w->len < LOG_SIZE - 2 * COMMANDS_SIZE; i++) {
                char text[COMMANDS_SIZE];
                struct bytes data;
                struct bytes measured;
                int rc;

                (void)snprintf(text, sizeof(text), "%sset menuentry_%u=/boot/vmlinuz-6.1.0-%u",
                               prefix, i, i);
                data = (struct bytes){(const uint8_t *)text, strlen(text) + 1};
                measured =
                    (struct bytes){data.data + strlen(prefix), data.len - strlen(prefix) - 1};
                rc = logbuild_add(build, 8, EV_IPL, data, measured, err);
                if (rc != 0)
                        return rc;
        }
        return 0;
}

static int make_log(uint8_t **ret_data, size_t *ret_len, struct err *err)
{
        static const char *const banks[] = {"sha1", "sha256", NULL};
        struct writer AUTO_WRITER w = {0};
        struct logbuild build;
        int rc;

        writer_init(&w, (size_t)2 * LOG_SIZE);
        rc = logbuild_begin(&build, &w, TCGLOG_AGILE, banks, err);
        if (rc == 0)
                rc = add_variables(&build, err);
        if (rc == 0)
                rc = add_separators(&build, err);
        if (rc == 0)
                rc = add_commands(&build, err);
        if (rc == 0)
                rc = writer_check(&w);
        if (rc != 0)
                return rc;
        *ret_data = writer_take(&w, ret_len);
        return 0;
}

struct figure {
        uint64_t n;
        double per_second;
        size_t events;
        char banks[128];
};

static int replay_once(struct bytes input, struct replay *replay, struct figure *figure,
                       struct err *err)
{
        struct tcglog AUTO_TCGLOG *log = NULL;
        int rc = tcglog_parse(input, &log, err);

        if (rc != 0)
                return rc;
        figure->events = log->event_count;
        return replay_run(log, replay, err);
}

static int measure(struct bytes input, struct figure *ret_figure, struct err *err)
{
        struct replay AUTO_FREE *replay = calloc(1, sizeof(*replay));
        struct figure figure = {0};
        double start;
        double took;

        if (replay == NULL)
                return err_set(err, ERR_NO_MEMORY, "replay");
        start = seconds_now();
        do {
                for (int i = 0; i < BATCH; i++) {
                        int rc = replay_once(input, replay, &figure, err);

                        if (rc != 0)
                                return rc;
                }
                figure.n += BATCH;
                took = seconds_now() - start;
        } while (took < SECONDS && !cli_interrupted());
        figure.per_second = (double)figure.n / took;
        for (size_t i = 0, len = 0; i < replay->count && len < sizeof(figure.banks); i++)
                len += (size_t)snprintf(figure.banks + len, sizeof(figure.banks) - len, "%s%s",
                                        i == 0 ? "" : ",", replay->banks[i].alg->name);
        *ret_figure = figure;
        return 0;
}

static int run_evlog(struct cli *cli, struct err *err)
{
        const char *path = cli_option(cli, "log");
        uint8_t AUTO_FREE *data = NULL;
        struct figure figure;
        size_t len = 0;
        int rc;

        if (path != NULL)
                rc = fs_read_file(path, TCGLOG_SIZE_MAX, &data, &len, err);
        else
                rc = make_log(&data, &len, err);
        if (rc == 0)
                rc = measure((struct bytes){data, len}, &figure, err);
        if (rc != 0)
                return err_wrap(err, "%s", path != NULL ? path : "bench evlog");
        return cli_print_json_line(
            cli,
            json_pack("{s:s,s:f,s:s,s:n,s:n,s:I,s:I,s:I,s:s}", "name", "evlog-replay", "value",
                      figure.per_second, "unit", "logs/s/core", "baseline", "ratio", "n",
                      (json_int_t)figure.n, "bytes", (json_int_t)len, "events",
                      (json_int_t)figure.events, "banks", figure.banks),
            err);
}

const struct cli_verb cli_bench_evlog_verbs[] = {
    {"bench", "evlog", "", "measure how fast event logs are parsed and replayed on one core",
     "The log is made up of 45 kB: Secure Boot variables, separators and GRUB's commands, with "
     "SHA-1 and SHA-256 banks, and is replayed in both. The figure is evlog-replay, in logs for "
     "each second of processor time.",
     evlog_options, run_evlog},
    {0},
};
