/*
 * catena-supervisor: keeps a host's guests while its trusted core is started again. See
 * catena-supervisor(8).
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "supervisor/supervisor.h"
#include "supervisor/watch.h"

#define FILES_MAX                                                                                  \
        (1U << 20) /* as many as the TCB may have: it is its descriptors that are kept             \
                    */

#define NOTIFY_SEC 2 /* for a starter that does not listen */

static const char usage[] =
    "Usage: catena-supervisor [--tcb PATH] [--state DIR] [--config FILE] [--debug]\n"
    "                         [--watchdog SECONDS]\n"
    "\n"
    "Runs catena-tcb, and starts it again when it dies: engines and guests wait meanwhile.\n"
    "SIGHUP has the program that lies at PATH by now take over.\n"
    "\n"
    "  --tcb PATH     the program (default: the one beside this)\n"
    "  --watchdog SECONDS\n"
    "                 catena-tcb is killed and started again when it has not answered for so\n"
    "                 long (default: 60; 0: never)\n"
    "  --state DIR, --config FILE, --debug\n"
    "                 are catena-tcb's; see there\n"
    "  --version, --help\n";

struct arguments {
        char tcb[PATH_MAX];
        const char *argv[8]; /* of the TCB */
        size_t n;
        uint64_t watchdog; /* seconds */
};

static void pass_on(struct arguments *arguments, const char *option, const char *value)
{
        if (arguments->n + 3 > ARRAY_SIZE(arguments->argv))
                return; /* said more than once */
        arguments->argv[arguments->n++] = option;
        if (value != NULL)
                arguments->argv[arguments->n++] = value;
}

/* A decimal number without a sign, and no more than max. */
static bool read_number(const char *text, uint64_t max, uint64_t *ret_number)
{
        unsigned long long number;
        char *end;

        if (text == NULL || text[0] < '0' || text[0] > '9')
                return false;
        errno = 0;
        number = strtoull(text, &end, 10);
        if (errno != 0 || *end != '\0' || number > max)
                return false;
        *ret_number = number;
        return true;
}

/* -1: go on; otherwise the exit status. */
static int parse(int argc, char **argv, struct arguments *ret)
{
        static const struct option options[] = {
            {"tcb", required_argument, NULL, 't'},      {"state", required_argument, NULL, 's'},
            {"config", required_argument, NULL, 'c'},   {"debug", no_argument, NULL, 'd'},
            {"watchdog", required_argument, NULL, 'w'}, {"version", no_argument, NULL, 'V'},
            {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0},
        };
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
                switch (c) {
                case 't':
                        (void)snprintf(ret->tcb, sizeof(ret->tcb), "%s", optarg);
                        break;
                case 's':
                        pass_on(ret, "--state", optarg);
                        break;
                case 'c':
                        pass_on(ret, "--config", optarg);
                        break;
                case 'd':
                        pass_on(ret, "--debug", NULL);
                        break;
                case 'w':
                        if (!read_number(optarg, WATCH_END_SEC_MAX, &ret->watchdog)) {
                                (void)fprintf(stderr,
                                              "catena-supervisor: --watchdog takes 0 to "
                                              "%d seconds\n",
                                              WATCH_END_SEC_MAX);
                                return err_exit_code(ERR_USAGE);
                        }
                        break;
                case 'V':
                        (void)puts("catena-supervisor " CATENA_VERSION);
                        return 0;
                case 'h':
                        (void)fputs(usage, stdout);
                        return 0;
                default:
                        (void)fputs(usage, stderr);
                        return err_exit_code(ERR_USAGE);
                }
        }
        if (optind == argc)
                return -1;
        (void)fprintf(stderr, "catena-supervisor: unexpected argument %s\n", argv[optind]);
        return err_exit_code(ERR_USAGE);
}

static int find_tcb(char path[PATH_MAX], struct err *err)
{
        static const char name[] = "catena-tcb";
        ssize_t n;
        char *slash;

        if (path[0] != '\0')
                return path[0] == '/' ? 0 : err_set(err, ERR_USAGE, "--tcb: not an absolute path");
        n = readlink("/proc/self/exe", path, PATH_MAX - sizeof(name));
        if (n <= 0)
                return err_set(err, ERR_FAILED, "cannot tell where our programs are");
        path[n] = '\0';
        slash = strrchr(path, '/');
        memcpy(slash == NULL ? path : slash + 1, name, sizeof(name));
        return 0;
}

/* As sd_notify(3) does; a library for it would be the largest part of this program. */
static void notify(const char *lines)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        const struct timeval patience = {.tv_sec = NOTIFY_SEC};
        const char *path = getenv("NOTIFY_SOCKET");
        int AUTO_FD fd = -1;
        size_t len;

        if (path == NULL || strlen(path) >= sizeof(address.sun_path))
                return;
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return;
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        len = strlen(path);
        memcpy(address.sun_path, path, len);
        if (path[0] == '@')
                address.sun_path[0] = '\0';
        (void)!sendto(fd, lines, strlen(lines), MSG_NOSIGNAL, (const struct sockaddr *)&address,
                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
}

static void raise_limits(void)
{
        const struct rlimit no_core = {0, 0};
        struct rlimit files;

        (void)setrlimit(RLIMIT_CORE, &no_core);
        if (getrlimit(RLIMIT_NOFILE, &files) < 0)
                return;
        files.rlim_cur = files.rlim_max < FILES_MAX ? files.rlim_max : FILES_MAX;
        (void)setrlimit(RLIMIT_NOFILE, &files);
}

/* The environment as it is, less what is for us: the TCB does not speak to our starter. */
static const char *const *environment(void)
{
        static const char *kept[256];
        size_t n = 0;

        for (char **at = environ; *at != NULL && n + 1 < ARRAY_SIZE(kept); at++)
                if (strncmp(*at, "NOTIFY_SOCKET=", 14) != 0 && strncmp(*at, "WATCHDOG_", 9) != 0)
                        kept[n++] = *at;
        return kept;
}

/* As sd_watchdog_enabled(3) does: how often our starter wants to hear from us, halved; 0: never. */
static uint64_t beat_msec(void)
{
        const char *whose = getenv("WATCHDOG_PID");
        uint64_t usec;
        uint64_t pid;

        if (!read_number(getenv("WATCHDOG_USEC"), UINT64_C(1) << 50, &usec) || usec == 0)
                return 0;
        if (whose != NULL && (!read_number(whose, INT_MAX, &pid) || pid != (uint64_t)getpid()))
                return 0;
        return usec < 2000 ? 1 : usec / 2000;
}

int main(int argc, char **argv)
{
        struct arguments arguments = {
            .argv = {"catena-tcb", "--supervised"}, .n = 2, .watchdog = WATCH_END_SEC};
        struct supervisor_request request = {.argv = arguments.argv, .notify = notify};
        struct err err = {0};
        int status = parse(argc, argv, &arguments);
        int rc;

        if (status >= 0)
                return status;
        (void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
        log_init("catena-supervisor", LOG_LEVEL_INFO);
        log_do_not_wait();
        (void)prctl(PR_SET_DUMPABLE, 0);
        raise_limits();
        request.program = arguments.tcb;
        request.env = environment();
        request.end_msec = arguments.watchdog * 1000;
        request.beat_msec = beat_msec();
        rc = find_tcb(arguments.tcb, &err);
        if (rc == 0)
                rc = supervisor_run(&request, &status, &err);
        if (rc == 0)
                return status;
        log_error((&(struct log_fields){.err = &err}), "ends");
        return err_exit_code(rc);
}
