#include "cli/bench-target.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "wire/engine.h"
#include "wire/link.h"

#define SWTPM          "/usr/bin/swtpm"
#define CONNECT_TRIES  200
#define CONNECT_GAP_MS 10
#define OPTION_ROOM    32 /* for what stands before a path in an option */

/* ---- our engine: this part runs in a process of its own and plays the TCB ---- */

static int keep_blob(int file, struct wire_link *link, const struct wire_frame *frame,
                     struct err *err)
{
        struct engine_persist persist;
        struct engine_persisted done;
        int rc = wire_frame_decode(frame, &persist, sizeof(persist), err);

        if (rc != 0)
                return rc;
        if (pwrite(file, persist.blob.data, persist.blob.len, 0) != (ssize_t)persist.blob.len ||
            fdatasync(file) < 0)
                return err_set_errno(err, errno, "write the blob");
        done.sequence = persist.sequence;
        return wire_link_send(link, engine_persisted_code, 0, 0, &done, NULL, err);
}

static int serve_core(struct wire_link *link, int file, int ready_fd, struct err *err)
{
        const struct engine_start start = {.flags = 0};
        struct wire_frame frame;
        int rc = wire_link_send(link, engine_start_code, 0, 0, &start, NULL, err);

        while (rc == 0) {
                struct pollfd polled[] = {{.fd = wire_link_fd(link), .events = POLLIN},
                                          {.fd = ready_fd, .events = 0}};

                if (poll(polled, ARRAY_SIZE(polled), -1) < 0 || polled[1].revents != 0)
                        return 0;
                rc = wire_link_receive(link, &frame, err);
                if (rc == 0 && frame.message->code == engine_persist_code)
                        rc = keep_blob(file, link, &frame, err);
                if (rc == 0 && frame.message->code == engine_ready_code)
                        rc = fd_write_all(ready_fd, "r", 1, err);
        }
        return rc;
}

static int run_core(const char *path, const char *dir, int control, int ready_fd, struct err *err)
{
        const char *argv[] = {path, NULL};
        struct wire_link AUTO_LINK *link = NULL;
        struct spawn_child child = {.pidfd = -1};
        struct spawn_fd fds[] = {{2, 2}, {-1, 3}, {control, 4}};
        char blob[PATH_MAX];
        int AUTO_FD file = -1;
        int pair[2];
        int rc = fs_join(blob, sizeof(blob), dir, "blob", err);

        if (rc != 0)
                return rc;
        file = open(blob, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (file < 0)
                return err_set_errno(err, errno, "open %s", blob);
        rc = fd_socketpair(SOCK_SEQPACKET, pair, err);
        if (rc != 0)
                return rc;
        fds[1].source = pair[1];
        rc = spawn_start(&(struct spawn_request){.path = path,
                                                 .argv = argv,
                                                 .fds = fds,
                                                 .n_fds = ARRAY_SIZE(fds),
                                                 .isolate = SPAWN_ISOLATE_PID | SPAWN_ISOLATE_NET |
                                                            SPAWN_ISOLATE_IPC},
                         &child, err);
        fd_close(&pair[1]);
        if (rc == 0)
                rc =
                    wire_link_new(TAKE_FD(pair[0]), &wire_engine_protocol, WIRE_CLIENT, &link, err);
        fd_close(&pair[0]);
        if (rc == 0)
                rc = serve_core(link, file, ready_fd, err);
        spawn_kill(&child);
        return rc;
}

/* Forks the core; its words go to stderr, its end shows as the end of *ret_fd. */
static pid_t fork_core(const char *path, const char *dir, int control, int *ret_fd, struct err *err)
{
        int pair[2];
        pid_t pid;

        if (fd_socketpair(SOCK_STREAM, pair, err) != 0)
                return -1;
        pid = fork();
        if (pid == 0) {
                (void)close(pair[0]);
                if (run_core(path, dir, control, pair[1], err) == 0)
                        _exit(0);
                (void)dprintf(STDERR_FILENO, "bench: %s\n", err->text);
                _exit(1);
        }
        fd_close(&pair[1]);
        *ret_fd = pair[0];
        return pid;
}

/* ---- QEMU's part ---- */

static int control_command(int control, const void *message, size_t len, const int *fd,
                           struct err *err)
{
        uint8_t answer[4];
        int rc;

        if (fd_send(control, message, len, fd, fd != NULL) != (ssize_t)len)
                return err_set(err, ERR_IO, "control channel");
        rc = fd_read_exact(control, answer, sizeof(answer), err);
        if (rc == 0 && memcmp(answer, "\0\0\0\0", 4) != 0)
                return err_set(err, ERR_FAILED, "the engine refused a control command");
        return rc;
}

static int power_on(int control, int *ret_data, struct err *err)
{
        int pair[2];
        int rc = fd_socketpair(SOCK_STREAM, pair, err);

        if (rc != 0)
                return rc;
        rc = control_command(control, "\0\0\0\x10", 4, &pair[1], err);
        fd_close(&pair[1]);
        if (rc == 0)
                rc = control_command(control, "\0\0\0\2\0\0\0\0", 8, NULL, err);
        if (rc != 0)
                fd_close(&pair[0]);
        else
                *ret_data = pair[0];
        return rc;
}

int bench_target_start_engine(const char *path, const char *dir, struct bench_target *ret_target,
                              struct err *err)
{
        struct bench_target target = {
            .data_fd = -1, .control_fd = -1, .core_fd = -1, .child.pidfd = -1};
        int pair[2];
        char ready;
        int rc = fd_socketpair(SOCK_STREAM, pair, err);

        if (rc != 0)
                return rc;
        target.core_pid = fork_core(path, dir, pair[1], &target.core_fd, err);
        fd_close(&pair[1]);
        if (target.core_pid < 0)
                rc = err_set_errno(err, errno, "start the bench's core");
        else
                rc = fd_read_exact(target.core_fd, &ready, 1, err);
        if (rc == 0)
                rc = power_on(pair[0], &target.data_fd, err);
        /* The engine powers off when QEMU's end closes, so the target keeps it. */
        target.control_fd = TAKE_FD(pair[0]);
        if (rc != 0) {
                bench_target_stop(&target);
                return err_wrap(err, "start %s", path);
        }
        *ret_target = target;
        return 0;
}

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
        return err_set(err, ERR_UNREACHABLE, "swtpm does not listen");
}

int bench_target_start_swtpm(const char *dir, struct bench_target *ret_target, struct err *err)
{
        struct bench_target target = {
            .data_fd = -1, .control_fd = -1, .core_fd = -1, .child.pidfd = -1};
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
        rc = spawn_start(&(struct spawn_request){.path = SWTPM, .argv = argv}, &target.child, err);
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
        fd_close(&target->core_fd);
        if (target->core_pid > 0)
                (void)waitpid(target->core_pid, NULL, 0);
        target->core_pid = 0;
        spawn_kill(&target->child);
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
