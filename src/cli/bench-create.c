#include "cli/bench-create.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "cli/bench-figure.h"
#include "cli/output.h"
#include "tpmwire/ek.h"

#define SETUP    "/usr/bin/swtpm_setup"
#define ROUNDS   12
#define P256     8 /* a round */
#define FULL     2
#define POOLED   4 /* times that the pool is emptied */
#define WAIT_MS  60000
#define POLL_MS  50
#define ALL_KEYS ((1U << TPM_EK_COUNT) - 1)

struct times {
        double ms[ROUNDS * P256];
        size_t n;
};

struct creates {
        const struct bench_target *target;
        const char *only; /* NULL: all */
        struct times p256;
        struct times full;
        struct times pool;
        struct times setup;
        struct bench_ticks start;
        unsigned made;
};

static double median(struct times *times)
{
        return bench_median(times->ms, times->n);
}

static int create(struct creates *creates, uint8_t eks, struct times *times, struct err *err)
{
        char name[32];
        struct tcb_vtpm_create message = {.eks = eks};
        struct tcb_vtpm vtpm;
        double start;
        int rc;

        (void)snprintf(name, sizeof(name), "create-%u", creates->made++);
        message.name = wire_text(name);
        start = bench_now_us();
        rc = client_call(creates->target->host.client, tcb_vtpm_create_code, &message,
                         tcb_vtpm_code, &vtpm, sizeof(vtpm), err);
        if (rc == 0)
                times->ms[times->n++] = (bench_now_us() - start) / 1e3;
        return rc;
}

/* swtpm_setup waits for a daemon of its own that nobody reaps unless its new parent does. */
static int reap_all(pid_t setup)
{
        int status = 0;
        int result = EXIT_FAILURE;
        pid_t pid;

        while ((pid = wait(&status)) > 0 || errno == EINTR)
                if (pid == setup)
                        result = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
        return result;
}

static void run_setup_and_reap(const char *dir)
{
        const char *argv[] = {SETUP,         "--tpm2",  "--tpm-state", dir, "--createek",
                              "--overwrite", "--runas", "root",        NULL};
        const char *env[] = {"PATH=/usr/bin:/bin", NULL};
        const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        pid_t setup;

        if (geteuid() != 0)
                argv[6] = NULL;
        (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        setup = fork();
        if (setup == 0) {
                for (int fd = 0; fd <= 2; fd++)
                        (void)dup2(null, fd);
                (void)execve(SETUP, (char **)(uintptr_t)argv, (char **)(uintptr_t)env);
                _exit(EXIT_FAILURE);
        }
        _exit(reap_all(setup));
}

static int measure_setup(const char *dir, struct times *times, struct err *err)
{
        const double start = bench_now_us();
        pid_t pid = fork();
        int status = 0;

        if (pid == 0)
                run_setup_and_reap(dir);
        if (pid < 0)
                return err_set_errno(err, errno, "fork");
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return err_set_errno(err, errno, "wait");
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                return err_set(err, ERR_FAILED, "swtpm_setup failed");
        times->ms[times->n++] = (bench_now_us() - start) / 1e3;
        return 0;
}

static bool is_wanted(const struct creates *creates, const char *name)
{
        return bench_is_wanted(creates->only, name);
}

static int run_round(struct creates *creates, const char *dir, struct err *err)
{
        int rc = 0;

        for (unsigned i = 0; rc == 0 && i < P256 && is_wanted(creates, "create-p256"); i++)
                rc = create(creates, 1U << TPM_EK_P256, &creates->p256, err);
        for (unsigned i = 0; rc == 0 && i < FULL && is_wanted(creates, "create-full"); i++)
                rc = create(creates, ALL_KEYS, &creates->full, err);
        if (rc == 0 && access(SETUP, X_OK) == 0)
                rc = measure_setup(dir, &creates->setup, err);
        return rc;
}

static int ask_pool(const struct creates *creates, uint32_t *ret_n, struct err *err)
{
        const struct tcb_status message = {0};
        struct tcb_status_is status;
        int rc = client_call(creates->target->host.client, tcb_status_code, &message,
                             tcb_status_is_code, &status, sizeof(status), err);

        if (rc == 0)
                *ret_n = status.pool;
        return rc;
}

/* Waits until nothing more comes, and takes all. */
static int empty_pool(struct creates *creates, struct err *err)
{
        uint32_t before = 0;
        uint32_t n = 0;
        int rc = 0;

        for (int waited = 0; rc == 0 && waited < WAIT_MS && (n == 0 || n != before);
             waited += POLL_MS) {
                before = n;
                (void)poll(NULL, 0, n == 0 ? POLL_MS : 10 * POLL_MS);
                rc = ask_pool(creates, &n, err);
                if (cli_interrupted())
                        return err_set(err, ERR_INTERRUPTED, "interrupted");
        }
        for (; rc == 0 && n > 0 && creates->pool.n < ARRAY_SIZE(creates->pool.ms); n--)
                rc = create(creates, ALL_KEYS, &creates->pool, err);
        return rc;
}

static int print(struct cli *cli, const struct creates *creates, const char *name,
                 struct times *times, double base, struct err *err)
{
        const double value = median(times);
        json_t *figure =
            json_pack("{s:s,s:f,s:s,s:I,s:f}", "name", name, "value", value, "unit", "ms", "n",
                      (json_int_t)times->n, "stolen", bench_stolen_since(&creates->start));

        if (times->n == 0) {
                json_decref(figure);
                return 0;
        }
        if (figure != NULL) {
                (void)json_object_set_new(figure, "baseline",
                                          base > 0 ? json_real(base) : json_null());
                (void)json_object_set_new(figure, "ratio",
                                          base > 0 ? json_real(value / base) : json_null());
        }
        return cli_print_json_line(cli, figure, err);
}

int bench_create(struct cli *cli, const struct bench_target *target, const char *dir,
                 const char *only, struct err *err)
{
        struct creates creates = {.target = target, .only = only};
        char state[PATH_MAX];
        double base;
        int rc = fs_join(state, sizeof(state), dir, "setup", err);

        if (rc == 0)
                rc = fs_make_dir(state, 0700, err);
        bench_ticks_now(&creates.start);
        for (unsigned i = 0; rc == 0 && i < ROUNDS && !cli_interrupted(); i++)
                rc = run_round(&creates, state, err);
        if (rc != 0)
                return err_wrap(err, "create");
        base = median(&creates.setup);
        rc = print(cli, &creates, "create-p256", &creates.p256, base, err);
        if (rc == 0)
                rc = print(cli, &creates, "create-full", &creates.full, base, err);
        for (unsigned i = 0; rc == 0 && i < POOLED && is_wanted(&creates, "create-pool"); i++)
                rc = empty_pool(&creates, err);
        return rc != 0 ? rc : print(cli, &creates, "create-pool", &creates.pool, base, err);
}
