#include "cli/bench-target.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "base/hex.h"
#include "cli/power-on.h"
#include "wire/engine.h"

#define SWTPM          "/usr/bin/swtpm"
#define CONNECT_TRIES  200
#define CONNECT_GAP_MS 10
#define COMMAND_MAX    256
#define OPTION_ROOM    32 /* for what stands before a path in an option */

int bench_target_create(const struct bench_target *target, const char *name, struct err *err)
{
        const struct tcb_vtpm_create create = {.name = wire_text(name)};
        struct tcb_vtpm vtpm;

        return client_call(target->host.client, tcb_vtpm_create_code, &create, tcb_vtpm_code, &vtpm,
                           sizeof(vtpm), err);
}

static int attach(struct client *client, const char *name, int *ret_control, struct err *err)
{
        const struct tcb_vtpm_open open = {.name = wire_text(name)};
        struct wire_frame frame;

        if (client_send(client, tcb_vtpm_open_code, &open, err) != 0 ||
            client_next(client, &frame, err) != 0)
                return err->code;
        if (frame.message->code == tcb_vtpm_opened_code)
                *ret_control = TAKE_FD(frame.fds[0]);
        wire_frame_close_fds(&frame);
        return *ret_control < 0 ? err_set(err, ERR_MALFORMED, "no control socket") : 0;
}

int bench_target_open(const struct bench_target *target, const char *name, int *ret_control,
                      struct err *err)
{
        int rc = bench_target_create(target, name, err);

        return rc != 0 ? rc : attach(target->host.client, name, ret_control, err);
}

int bench_target_attach(const struct bench_target *target, const char *name, int *ret_control,
                        int *ret_data, struct err *err)
{
        int AUTO_FD control = -1;
        int rc = attach(target->host.client, name, &control, err);

        if (rc == 0)
                rc = power_on(control, ret_data, err);
        if (rc != 0)
                return err_wrap(err, "start vTPM %s", name);
        *ret_control = TAKE_FD(control);
        return 0;
}

int bench_target_add_vtpm(const struct bench_target *target, const char *name, int *ret_control,
                          int *ret_data, struct err *err)
{
        int rc = bench_target_create(target, name, err);

        return rc != 0 ? err_wrap(err, "start vTPM %s", name)
                       : bench_target_attach(target, name, ret_control, ret_data, err);
}

int bench_target_start_host(struct cli *cli, const char *dir, struct bench_target *ret_target,
                            struct err *err)
{
        char state[PATH_MAX];
        int rc = fs_join(state, sizeof(state), dir, "host", err);

        return rc != 0 ? rc : local_host_start(cli, state, "bench", &ret_target->host, err);
}

int bench_target_start_vtpm(struct cli *cli, const char *dir, struct bench_target *ret_target,
                            struct err *err)
{
        struct bench_target target = BENCH_TARGET_NONE;
        int rc = bench_target_start_host(cli, dir, &target, err);

        if (rc == 0)
                rc = bench_target_add_vtpm(&target, "bench", &target.control_fd, &target.data_fd,
                                           err);
        if (rc != 0) {
                bench_target_stop(&target);
                return err_wrap(err, "start a vTPM");
        }
        *ret_target = target;
        return 0;
}

/* The descriptor or -1. */
static int connect_to(const char *path, struct err *err)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd;

        if (strlen(path) >= sizeof(address.sun_path))
                return err_set(err, ERR_LIMIT, "%s: path too long for a socket", path);
        memcpy(address.sun_path, path, strlen(path) + 1);
        for (int i = 0; i < CONNECT_TRIES; i++) {
                fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
                if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
                        return fd;
                fd_close(&fd);
                (void)poll(NULL, 0, CONNECT_GAP_MS);
        }
        (void)err_set(err, ERR_UNREACHABLE, "swtpm does not listen");
        return -1;
}

int bench_target_start_swtpm_for_qemu(const char *dir, struct bench_target *ret_target,
                                      struct err *err)
{
        struct bench_target target = BENCH_TARGET_NONE;
        char state[PATH_MAX + OPTION_ROOM];
        char control[PATH_MAX + OPTION_ROOM];
        const char *argv[] = {SWTPM, "socket", "--tpm2", "--tpmstate",
                              state, "--ctrl", control,  NULL};
        char path[PATH_MAX];
        int rc = fs_join(path, sizeof(path), dir, "qemu", err);

        if (rc != 0)
                return rc;
        (void)snprintf(state, sizeof(state), "dir=%s", dir);
        (void)snprintf(control, sizeof(control), "type=unixio,path=%s", path);
        rc = spawn_start(&(struct spawn_request){.path = SWTPM, .argv = argv}, &target.swtpm, err);
        if (rc != 0)
                return rc;
        target.control_fd = connect_to(path, err);
        if (target.control_fd < 0) {
                bench_target_stop(&target);
                return err->code;
        }
        *ret_target = target;
        return 0;
}

int bench_target_start_swtpm(const char *dir, struct bench_target *ret_target, struct err *err)
{
        struct bench_target target = BENCH_TARGET_NONE;
        char state[PATH_MAX + OPTION_ROOM];
        char server[PATH_MAX + OPTION_ROOM];
        char control[PATH_MAX + OPTION_ROOM];
        const char *argv[] = {SWTPM,  "socket", "--tpm2", "--tpmstate", state,           "--server",
                              server, "--ctrl", control,  "--flags",    "not-need-init", NULL};
        char data[PATH_MAX];
        int rc = fs_join(data, sizeof(data), dir, "data", err);

        if (rc != 0)
                return rc;
        (void)snprintf(state, sizeof(state), "dir=%s", dir);
        (void)snprintf(server, sizeof(server), "type=unixio,path=%s", data);
        (void)snprintf(control, sizeof(control), "type=unixio,path=%s/ctrl", dir);
        rc = spawn_start(&(struct spawn_request){.path = SWTPM, .argv = argv}, &target.swtpm, err);
        if (rc != 0)
                return rc;
        target.data_fd = connect_to(data, err);
        if (target.data_fd < 0) {
                bench_target_stop(&target);
                return err->code;
        }
        *ret_target = target;
        return 0;
}

void bench_target_stop(struct bench_target *target)
{
        fd_close(&target->data_fd);
        fd_close(&target->control_fd);
        local_host_stop(&target->host);
        spawn_kill(&target->swtpm);
}

int bench_target_run(const struct bench_target *target, const uint8_t *command, size_t len,
                     uint32_t *ret_code, struct err *err)
{
        uint8_t answer[ENGINE_COMMAND_MAX];
        struct reader r;
        uint32_t code = 0;
        ssize_t n;

        if (write(target->data_fd, command, len) != (ssize_t)len)
                return err_set_errno(err, errno, "send a TPM command");
        n = read(target->data_fd, answer, sizeof(answer));
        if (n <= 0)
                return err_set(err, ERR_UNREACHABLE, "the TPM closed its socket");
        r = reader_from(answer, (size_t)n);
        if (reader_skip(&r, 6) != 0 || reader_get_be32(&r, &code) != 0)
                return err_set(err, ERR_MALFORMED, "an answer of %zd bytes", n);
        *ret_code = code;
        return 0;
}

int bench_target_run_hex(const struct bench_target *target, const char *hex, struct err *err)
{
        uint8_t command[COMMAND_MAX];
        size_t len = 0;
        uint32_t code = 0;
        int rc = hex_decode(hex, strlen(hex), command, sizeof(command), &len);

        if (rc == 0)
                rc = bench_target_run(target, command, len, &code, err);
        if (rc == 0 && code != 0)
                return err_set(err, ERR_TPM, "TPM error 0x%x", code);
        return rc;
}
