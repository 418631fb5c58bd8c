/*
 * catena bench boot: how long the measured guest takes to its init, with a vTPM of ours and with
 * swtpm, in turns. Everything else about the two machines is the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "cli/bench-figure.h"
#include "cli/bench-target.h"
#include "cli/output.h"
#include "cli/program.h"
#include "image/image.h"
#include "vmm/launch.h"

#define QEMU        "/usr/bin/qemu-system-x86_64"
#define CODE        "/usr/share/OVMF/OVMF_CODE_4M.fd"
#define VARS        "/usr/share/OVMF/OVMF_VARS_4M.fd"
#define VARS_MAX    (4U << 20)
#define MEMORY_MIB  512
#define ROUNDS_MAX  100
#define BOOT_MAX_MS 600000

static const struct cli_option boot_options[] = {
    {"rounds", 'n', "N", "boots with each TPM (default 3)", 0},
    {"image", 0, "FILE", "a guest image (default: one that is built now)", 0},
    {"accel", 0, "NAME", "tcg or kvm (default tcg)", 0},
    {0},
};

struct boots {
        char dir[64];
        char image[PATH_MAX];
        enum vmm_accel accel;
        struct bench_target host;
        double mine[ROUNDS_MAX];
        double base[ROUNDS_MAX];
};

/* ---- one machine ---- */

static int open_file(const char *path, int flags, int *ret_fd, struct err *err)
{
        *ret_fd = open(path, flags | O_CLOEXEC, 0600);
        return *ret_fd < 0 ? err_set_errno(err, errno, "open %s", path) : 0;
}

static int make_vars(int *ret_fd, struct err *err)
{
        uint8_t AUTO_FREE *data = NULL;
        size_t len = 0;
        int rc = fs_read_file(VARS, VARS_MAX, &data, &len, err);

        if (rc != 0)
                return rc;
        *ret_fd = memfd_create("uefi-variables", MFD_CLOEXEC);
        if (*ret_fd < 0)
                return err_set_errno(err, errno, "make UEFI variables");
        return fd_write_all(*ret_fd, data, len, err);
}

static int open_machine(const struct boots *boots, int fds[VMM_FD_COUNT], int *ret_agent,
                        int *ret_qmp, struct err *err)
{
        char serial[PATH_MAX];
        int agent[2] = {-1, -1};
        int qmp[2] = {-1, -1};
        int rc = fs_join(serial, sizeof(serial), boots->dir, "serial", err);

        if (rc == 0)
                rc = open_file(CODE, O_RDONLY, &fds[VMM_FD_CODE], err);
        if (rc == 0)
                rc = make_vars(&fds[VMM_FD_VARS], err);
        if (rc == 0)
                rc = open_file(boots->image, O_RDONLY, &fds[VMM_FD_DISK], err);
        if (rc == 0)
                rc = vmm_memory_create(MEMORY_MIB, &fds[VMM_FD_MEMORY], err);
        if (rc == 0)
                rc = open_file(serial, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, &fds[VMM_FD_SERIAL],
                               err);
        if (rc == 0)
                rc = fd_socketpair(SOCK_STREAM, agent, err);
        fds[VMM_FD_AGENT] = agent[1];
        *ret_agent = agent[0];
        if (rc == 0)
                rc = fd_socketpair(SOCK_STREAM, qmp, err);
        fds[VMM_FD_QMP] = qmp[1];
        *ret_qmp = qmp[0];
        return rc;
}

/* The agent is the guest's init; its first words end the boot. */
static int wait_for_agent(int agent, const struct spawn_child *qemu, struct err *err)
{
        struct pollfd polls[] = {{.fd = agent, .events = POLLIN},
                                 {.fd = qemu->pidfd, .events = POLLIN}};
        int n = poll(polls, ARRAY_SIZE(polls), BOOT_MAX_MS);

        if (n < 0)
                return errno == EINTR ? err_set(err, ERR_INTERRUPTED, "interrupted")
                                      : err_set_errno(err, errno, "poll");
        if (n == 0)
                return err_set(err, ERR_TIMEOUT, "the guest does not come up");
        if ((polls[0].revents & POLLIN) == 0)
                return err_set(err, ERR_FAILED, "QEMU ended before the guest came up");
        return 0;
}

static int boot(const struct boots *boots, int tpm, double *ret_seconds, struct err *err)
{
        const struct vmm_config config = {.name = "bench",
                                          .uuid = {1},
                                          .memory_mib = MEMORY_MIB,
                                          .cpus = 1,
                                          .disk_read_only = true};
        struct vmm_launch launch = {
            .qemu = QEMU, .config = &config, .accel = boots->accel, .log = -1};
        struct spawn_child qemu = {.pidfd = -1};
        uint8_t digest[VMM_DIGEST_LEN];
        int AUTO_FD agent = -1;
        int AUTO_FD qmp = -1;
        double start;
        int rc;

        for (size_t i = 0; i < VMM_FD_COUNT; i++)
                launch.fds[i] = -1;
        rc = open_machine(boots, launch.fds, &agent, &qmp, err);
        launch.fds[VMM_FD_TPM] = tpm;
        start = bench_now_us();
        if (rc == 0)
                rc = vmm_launch(&launch, &qemu, digest, err);
        launch.fds[VMM_FD_TPM] = -1;
        for (size_t i = 0; i < VMM_FD_COUNT; i++)
                fd_close(&launch.fds[i]);
        if (rc == 0)
                rc = wait_for_agent(agent, &qemu, err);
        *ret_seconds = (bench_now_us() - start) / 1e6;
        spawn_kill(&qemu);
        return rc;
}

/* ---- the turns ---- */

static int boot_ours(struct boots *boots, size_t round, struct err *err)
{
        char name[32];
        int AUTO_FD control = -1;
        int rc;

        (void)snprintf(name, sizeof(name), "boot%zu", round);
        rc = bench_target_open(&boots->host, name, &control, err);
        return rc != 0 ? rc : boot(boots, control, &boots->mine[round], err);
}

static int boot_swtpm(struct boots *boots, size_t round, struct err *err)
{
        struct bench_target target = BENCH_TARGET_NONE;
        char dir[PATH_MAX];
        char name[32];
        int rc;

        (void)snprintf(name, sizeof(name), "swtpm%zu", round);
        rc = fs_join(dir, sizeof(dir), boots->dir, name, err);
        if (rc == 0)
                rc = fs_make_dir(dir, 0700, err);
        if (rc == 0)
                rc = bench_target_start_swtpm_for_qemu(dir, &target, err);
        if (rc == 0)
                rc = boot(boots, target.control_fd, &boots->base[round], err);
        bench_target_stop(&target);
        return rc;
}

static void show_build(void *user, const char *words)
{
        cli_progress(user, "%s", words);
}

static int build_image(struct cli *cli, struct boots *boots, struct err *err)
{
        const struct image_progress progress = {.say = show_build, .user = cli};
        char agent[PATH_MAX];
        const struct image_request request = {
            .out = boots->image, .agent = agent, .progress = &progress};
        int rc = fs_join(boots->image, sizeof(boots->image), boots->dir, "guest.img", err);

        if (rc == 0)
                rc = program_path("catena-agent", agent, err);
        if (rc == 0)
                rc = image_build(&request, err);
        cli_progress_end(cli);
        return rc;
}

static int run_rounds(struct cli *cli, struct boots *boots, size_t rounds, struct err *err)
{
        double mine;
        double base;
        int rc = bench_target_start_host(cli, boots->dir, &boots->host, err);

        for (size_t i = 0; i < rounds && rc == 0; i++) {
                cli_progress(cli, "boot %zu of %zu", 2 * i + 1, 2 * rounds);
                rc = boot_ours(boots, i, err);
                if (rc != 0)
                        break;
                cli_progress(cli, "boot %zu of %zu", 2 * i + 2, 2 * rounds);
                rc = boot_swtpm(boots, i, err);
        }
        cli_progress_end(cli);
        if (rc != 0)
                return rc;
        mine = bench_median(boots->mine, rounds);
        base = bench_median(boots->base, rounds);
        return cli_print_json_line(cli,
                                   json_pack("{s:s,s:f,s:s,s:I,s:f,s:f,s:s}", "name", "guest-boot",
                                             "value", mine, "unit", "s", "n", (json_int_t)rounds,
                                             "baseline", base, "ratio", mine / base, "accel",
                                             vmm_accel_name(boots->accel)),
                                   err);
}

static int choose(struct cli *cli, struct boots *boots, struct err *err)
{
        const char *image = cli_option(cli, "image");
        const char *accel = cli_option(cli, "accel");

        if (accel != NULL && strcmp(accel, "kvm") == 0)
                boots->accel = VMM_ACCEL_KVM;
        else if (accel != NULL && strcmp(accel, "tcg") != 0)
                return err_set(err, ERR_USAGE, "--accel is tcg or kvm");
        if (image == NULL)
                return build_image(cli, boots, err);
        if (snprintf(boots->image, sizeof(boots->image), "%s", image) >= (int)sizeof(boots->image))
                return err_set(err, ERR_LIMIT, "path too long");
        return 0;
}

static int run_boot(struct cli *cli, struct err *err)
{
        const char *base = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";
        struct boots boots = {.accel = VMM_ACCEL_TCG, .host = BENCH_TARGET_NONE};
        struct err ignored = {0};
        uint64_t rounds = 0;
        int rc = cli_option_number(cli, "rounds", 1, ROUNDS_MAX, 3, &rounds, err);

        if (rc != 0)
                return rc;
        if (snprintf(boots.dir, sizeof(boots.dir), "%s/catena-bench-XXXXXX", base) >=
                (int)sizeof(boots.dir) ||
            mkdtemp(boots.dir) == NULL)
                return err_set(err, ERR_IO, "cannot make a directory in %s", base);
        rc = choose(cli, &boots, err);
        if (rc == 0)
                rc = run_rounds(cli, &boots, (size_t)rounds, err);
        bench_target_stop(&boots.host);
        if (fs_remove_tree(boots.dir, &ignored) != 0)
                cli_note(cli, "%s", ignored.text);
        return rc;
}

const struct cli_verb cli_bench_boot_verbs[] = {
    {"bench", "boot", "", "measure the measured guest's boot with a vTPM and with swtpm",
     "Median seconds from QEMU's start to the first words of the guest's agent, which is its init, "
     "with new vTPMs of a TCB started for this and with new ones of swtpm, in turns (guest-boot).",
     boot_options, run_boot},
    {0},
};
