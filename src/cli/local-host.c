#include "cli/local-host.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fs.h"
#include "cli/program.h"

#define READY_TIMEOUT_MSEC 60000
#define STOP_TIMEOUT_MSEC  20000
#define WORDS_MAX          320
#define LOG_MAX            (1U << 20)

/* Daemons say READY=1 as sd_notify(3) does: to a datagram socket of ours. */
static int open_notify(const char *path, int *ret_fd, struct err *err)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int AUTO_FD fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return err_set_errno(err, errno, "make socket");
        if (strlen(path) >= sizeof(address.sun_path)) {
                (void)err_set(err, ERR_USAGE, "%s: too long for a socket's path", path);
                return err_hint(err, "name a directory with a shorter path with --state");
        }
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        (void)unlink(path);
        if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return err_set_errno(err, errno, "bind %s", path);
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* ": " and the last line of a log, or nothing. */
static const char *last_words(const char *log, char ret_words[WORDS_MAX])
{
        AUTO_FREE uint8_t *data = NULL;
        struct err ignored = {0};
        const char *line;
        size_t len;

        ret_words[0] = '\0';
        if (fs_read_file(log, LOG_MAX, &data, &len, &ignored) != 0)
                return ret_words;
        while (len > 0 && data[len - 1] == '\n')
                data[--len] = '\0';
        line = memrchr(data, '\n', len);
        if (len > 0)
                (void)snprintf(ret_words, WORDS_MAX, ": %s",
                               line == NULL ? (const char *)data : line + 1);
        return ret_words;
}

static int wait_ready(int notify, const struct spawn_child *child, const char *name,
                      const char *log, struct err *err)
{
        for (;;) {
                struct pollfd fds[2] = {{.fd = notify, .events = POLLIN},
                                        {.fd = child->pidfd, .events = POLLIN}};
                char words[WORDS_MAX];
                char text[256];
                ssize_t n;
                int rc = poll(fds, 2, READY_TIMEOUT_MSEC);

                if (rc < 0 && errno == EINTR && !cli_interrupted())
                        continue;
                if (rc < 0)
                        return err_set(err, ERR_INTERRUPTED, "interrupted");
                if (rc == 0)
                        return err_set(err, ERR_TIMEOUT, "%s is not ready", name);
                if (fds[0].revents == 0) {
                        (void)err_set(err, ERR_FAILED, "%s ended at its start%s", name,
                                      last_words(log, words));
                        return err_hint(err, "all its words are in %s", log);
                }
                n = recv(notify, text, sizeof(text) - 1, 0);
                text[n < 0 ? 0 : n] = '\0';
                if (strncmp(text, "READY=1", 7) == 0)
                        return 0;
        }
}

static int start_daemon(const char *state, const char *name, struct spawn_child *ret_child,
                        struct err *err)
{
        char program[PATH_MAX];
        char log_path[PATH_MAX];
        char notify_path[PATH_MAX];
        char notify_variable[PATH_MAX + 16];
        char file[64];
        const char *const argv[] = {name, "--state", state, NULL};
        const char *const env[] = {notify_variable, NULL};
        int AUTO_FD log = -1;
        int AUTO_FD notify = -1;

        (void)snprintf(file, sizeof(file), "log/%s.log", name);
        if (program_path(name, program, err) != 0 ||
            fs_join(log_path, sizeof(log_path), state, file, err) != 0 ||
            fs_join(notify_path, sizeof(notify_path), state, "run/notify.sock", err) != 0 ||
            open_notify(notify_path, &notify, err) != 0)
                return err->code;
        (void)snprintf(notify_variable, sizeof(notify_variable), "NOTIFY_SOCKET=%s", notify_path);
        log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (log < 0)
                return err_set_errno(err, errno, "open %s", log_path);
        const struct spawn_fd fds[] = {{log, 1}, {log, 2}};
        const struct spawn_request request = {
            .path = program, .argv = argv, .env = env, .fds = fds, .n_fds = ARRAY_SIZE(fds)};

        if (spawn_start(&request, ret_child, err) != 0)
                return err_wrap(err, "start %s", name);
        if (wait_ready(notify, ret_child, name, log_path, err) != 0)
                return err->code;
        (void)unlink(notify_path);
        return 0;
}

static int make_state(const char *state, const char *name, const char *conf, struct err *err)
{
        static const char *const dirs[] = {"run", "log", "images"};
        char path[PATH_MAX];
        char text[1024];
        int n = snprintf(text, sizeof(text), "[host]\nname = %s\n\n[ptpm]\ntcti = embedded\n%s",
                         name, conf);

        if (n >= (int)sizeof(text))
                return err_set(err, ERR_LIMIT, "too much configuration");
        for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
                if (fs_join(path, sizeof(path), state, dirs[i], err) != 0 ||
                    fs_make_dir(path, 0700, err) != 0)
                        return err->code;
        if (fs_join(path, sizeof(path), state, "catena.conf", err) != 0)
                return err->code;
        return fs_write_file(path, text, (size_t)n, 0644, err);
}

int local_host_start_with(struct cli *cli, const char *state, const char *name, const char *conf,
                          struct local_host *ret_host, struct err *err)
{
        memset(ret_host, 0, sizeof(*ret_host));
        ret_host->tcb.pidfd = ret_host->relay.pidfd = -1;
        (void)snprintf(ret_host->state, sizeof(ret_host->state), "%s", state);
        if (make_state(state, name, conf, err) != 0 ||
            start_daemon(state, "catena-supervisor", &ret_host->tcb, err) != 0 ||
            start_daemon(state, "catenad", &ret_host->relay, err) != 0)
                return err_wrap(err, "%s", name);
        return client_open_at(cli, state, &ret_host->client, err);
}

int local_host_start(struct cli *cli, const char *state, const char *name,
                     struct local_host *ret_host, struct err *err)
{
        return local_host_start_with(cli, state, name, "", ret_host, err);
}

static void stop_daemon(struct spawn_child *child)
{
        struct err err = {0};
        int status;

        if (child->pid <= 0)
                return;
        (void)kill(child->pid, SIGTERM);
        if (spawn_wait(child, STOP_TIMEOUT_MSEC, &status, &err) != 0)
                spawn_kill(child);
        child->pid = 0;
}

void local_host_stop(struct local_host *host)
{
        client_close(TAKE(host->client));
        stop_daemon(&host->relay);
        stop_daemon(&host->tcb);
}
