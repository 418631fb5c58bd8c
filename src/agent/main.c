/*
 * catena-agent: speaks for the guest's TPM to the TCB, over a virtio-serial port. As the first
 * process of a guest it also brings the guest up (init.h).
 *
 * Usage: catena-agent [--tcti TCTI] [--socket-fd N]
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/init.h"
#include "agent/port.h"
#include "base/fd.h"
#include "base/log.h"

#define DEFAULT_TCTI      "device:/dev/tpmrm0"
#define PORT_TIMEOUT_MSEC 60000
#define KEY_TRIES         5
#define KEY_PAUSE_MSEC    2000

struct options {
        const char *tcti;
        int socket_fd; /* -1: look for the virtio port */
};

static int parse_fd(const char *text, int *ret_fd)
{
        char *end;
        long value;

        errno = 0;
        value = strtol(text, &end, 10);
        if (errno != 0 || end == text || *end != '\0' || value < 0 || value > INT_MAX)
                return ERR_USAGE;
        *ret_fd = (int)value;
        return 0;
}

static int parse_options(int argc, char **argv, struct options *ret_options, struct err *err)
{
        static const struct option table[] = {{"tcti", required_argument, NULL, 't'},
                                              {"socket-fd", required_argument, NULL, 's'},
                                              {"version", no_argument, NULL, 'v'},
                                              {NULL, 0, NULL, 0}};
        struct options options = {.tcti = DEFAULT_TCTI, .socket_fd = -1};
        int c;

        while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
                if (c == 't')
                        options.tcti = optarg;
                if (c == 'v') {
                        (void)printf("catena-agent %s\n", CATENA_VERSION);
                        exit(0);
                }
                if (c == '?' || (c == 's' && parse_fd(optarg, &options.socket_fd) != 0))
                        return err_set(err, ERR_USAGE, "usage: [--tcti TCTI] [--socket-fd N]");
        }
        *ret_options = options;
        return 0;
}

/* Serves on the port for ever: when the host goes away it may come back. */
static int serve_port(const char *path, const struct serve_actor *actor, struct err *err)
{
        for (;;) {
                int fd = open(path, O_RDWR | O_CLOEXEC);
                int rc;

                if (fd < 0)
                        return err_set_errno(err, errno, "open %s", path);
                rc = serve_host(fd, actor, err);
                if (rc == 0)
                        return 0;
                if (rc == ERR_UNREACHABLE)
                        log_info(NULL, "AGENT-WAITS the host went away");
                else
                        log_warning((&(struct log_fields){.op = "serve", .err = err}),
                                    "AGENT-CUT the host was cut off");
        }
}

static int make_keys(const char *tcti, struct tpm **ret_tpm, struct agent *ret_agent,
                     struct err *err)
{
        struct tpm *tpm = NULL;
        int rc = tpm_open(tcti, &tpm, err);

        if (rc == 0)
                rc = agent_init(ret_agent, tpm, &agent_kernel_paths, err);
        if (rc == 0)
                *ret_tpm = tpm;
        else
                tpm_close(tpm);
        return rc;
}

/*
 * The kernel's driver gives a command up after a while. A host that stood still for longer, with
 * the TPM and without the guest's clock, is no reason to end the guest.
 */
static int make_keys_patiently(const char *tcti, struct tpm **ret_tpm, struct agent *ret_agent,
                               struct err *err)
{
        int rc = make_keys(tcti, ret_tpm, ret_agent, err);

        for (unsigned i = 1; rc != 0 && i < KEY_TRIES; i++) {
                log_warning((&(struct log_fields){.op = "keys", .err = err}), "AGENT-RETRY");
                *err = (struct err){0};
                (void)poll(NULL, 0, KEY_PAUSE_MSEC);
                rc = make_keys(tcti, ret_tpm, ret_agent, err);
        }
        return rc;
}

static int serve(const struct options *options, int watch_fd, struct err *err)
{
        struct tpm AUTO_TPM *tpm = NULL;
        struct agent AUTO_AGENT agent = {0};
        struct serve_actor actor = {.act = agent_act, .user = &agent};
        char path[PATH_MAX];
        int rc = make_keys_patiently(options->tcti, &tpm, &agent, err);

        if (rc != 0)
                return rc;
        log_info(NULL, "AGENT-KEYS made");
        if (options->socket_fd >= 0)
                return serve_host(options->socket_fd, &actor, err);
        if (port_wait(watch_fd, AGENT_PORT_NAME, PORT_TIMEOUT_MSEC, path, sizeof(path), err) != 0)
                return err->code;
        log_info(NULL, "AGENT-UP %s on %s", CATENA_VERSION, path);
        return serve_port(path, &actor, err);
}

static int bring_up(struct err *err)
{
        if (init_load_modules(INIT_MODULES, err) != 0 || init_run_programs(INIT_PROGRAMS, err) != 0)
                return err->code;
        init_reap_children();
        log_info(NULL, "AGENT-INIT done");
        return 0;
}

int main(int argc, char **argv)
{
        struct options options = {.tcti = DEFAULT_TCTI, .socket_fd = -1};
        struct err err = {0};
        bool is_init = getpid() == 1;
        int AUTO_FD watch_fd = -1;
        int rc = is_init ? init_mount(&err) : 0;

        log_init("catena-agent", LOG_LEVEL_INFO);
        (void)sigaction(SIGPIPE, &(const struct sigaction){.sa_handler = SIG_IGN}, NULL);
        if (rc == 0)
                rc = parse_options(argc, argv, &options, &err);
        /* Before the modules bring the port, so that its announcement is not missed. */
        if (rc == 0 && options.socket_fd < 0)
                rc = port_watch_open(&watch_fd, &err);
        if (rc == 0 && is_init)
                rc = bring_up(&err);
        if (rc == 0)
                rc = serve(&options, watch_fd, &err);
        if (rc != 0 && (is_init || rc != ERR_UNREACHABLE))
                log_error((&(struct log_fields){.op = "run", .err = &err}), "AGENT-FAILED");
        /* The first process must not end: the kernel would panic. */
        if (is_init)
                init_power_off();
        return err_exit_code(rc);
}
