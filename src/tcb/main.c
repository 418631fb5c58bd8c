/*
 * catena-tcb: the trusted core of a host. See catena-tcb(8).
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "tcb/config-manual.h"
#include "tcb/descriptors.h"
#include "tcb/tcb.h"

static const char usage[] =
    "Usage: catena-tcb [--state DIR] [--config FILE] [--debug]\n"
    "\n"
    "The trusted core of a host: owns its TPM, keeps the vTPMs, starts engines and VMs.\n"
    "\n"
    "  --state DIR    database, images and sockets (default: /var/lib/catena)\n"
    "  --config FILE  configuration (default: DIR/catena.conf with --state, else\n"
    "                 /etc/catena/catena.conf)\n"
    "  --debug        log more\n"
    "  --supervised   started by catena-supervisor, through descriptor 3\n"
    "  --config-manual  print catena.conf(5)\n"
    "  --version, --help\n";

struct arguments {
        const char *state;
        const char *config;
        enum log_level level;
        bool supervised;
};

/* -1: go on; otherwise the exit status. */
static int parse(int argc, char **argv, struct arguments *ret)
{
        static const struct option options[] = {
            {"state", required_argument, NULL, 's'}, {"config", required_argument, NULL, 'c'},
            {"debug", no_argument, NULL, 'd'},       {"supervised", no_argument, NULL, 'S'},
            {"version", no_argument, NULL, 'V'},     {"config-manual", no_argument, NULL, 'm'},
            {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0},
        };
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
                switch (c) {
                case 's':
                        ret->state = optarg;
                        break;
                case 'c':
                        ret->config = optarg;
                        break;
                case 'd':
                        ret->level = LOG_LEVEL_DEBUG;
                        break;
                case 'S':
                        ret->supervised = true;
                        break;
                case 'V':
                        (void)puts("catena-tcb " CATENA_VERSION);
                        return 0;
                case 'm':
                        tcb_config_manual(stdout);
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
        (void)fprintf(stderr, "catena-tcb: unexpected argument %s\n", argv[optind]);
        return err_exit_code(ERR_USAGE);
}

/* The directory that our own program is in: our helpers lie beside it. */
static int find_programs(char ret_dir[PATH_MAX], struct err *err)
{
        ssize_t n = readlink("/proc/self/exe", ret_dir, PATH_MAX - 1);
        char *slash;

        if (n <= 0)
                return err_set(err, ERR_FAILED, "cannot tell where our programs are");
        ret_dir[n] = '\0';
        slash = strrchr(ret_dir, '/');
        if (slash != NULL)
                *slash = '\0';
        return 0;
}

static int load_config(const struct arguments *arguments, struct tcb_config *config,
                       struct err *err)
{
        const char *state = arguments->state == NULL ? "/var/lib/catena" : arguments->state;
        char file[PATH_MAX + 16];

        (void)snprintf(file, sizeof(file), "%s", "/etc/catena/catena.conf");
        if (arguments->state != NULL)
                (void)snprintf(file, sizeof(file), "%s/catena.conf", state);
        if (arguments->config != NULL)
                (void)snprintf(file, sizeof(file), "%s", arguments->config);
        if (tcb_config_load(file, config, err) != 0)
                return err->code;
        if (strlen(state) >= sizeof(config->state))
                return err_set(err, ERR_USAGE, "state directory: path too long");
        (void)snprintf(config->state, sizeof(config->state), "%s", state);
        config->supervised = arguments->supervised;
        return find_programs(config->programs, err);
}

/* Before anything is opened: later the number may be that of something of ours. */
static int check_supervisor(struct err *err)
{
        int type = 0;
        socklen_t size = sizeof(type);

        if (getsockopt(TCB_SUPERVISOR_FD, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
            type == SOCK_SEQPACKET)
                return 0;
        return err_set(err, ERR_USAGE, "--supervised: not started by catena-supervisor");
}

int main(int argc, char **argv)
{
        struct arguments arguments = {.level = LOG_LEVEL_INFO};
        static struct tcb_config config;
        struct tcb *tcb = NULL;
        struct err err = {0};
        int rc = parse(argc, argv, &arguments);

        if (rc >= 0)
                return rc;
        rc = arguments.supervised ? check_supervisor(&err) : 0;
        (void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
        log_init("catena-tcb", arguments.level);
        log_do_not_wait();
        (void)prctl(PR_SET_DUMPABLE, 0);
        /* Executed by its descriptor a program is called by that number. */
        if (arguments.supervised)
                (void)prctl(PR_SET_NAME, "catena-tcb");
        descriptors_raise(); /* the usual soft limit is for programs that use select(2) */
        if (rc == 0)
                rc = load_config(&arguments, &config, &err);
        if (rc == 0)
                rc = tcb_open(&config, &tcb, &err);
        if (rc == 0)
                rc = tcb_run(tcb, &err);
        tcb_close(tcb);
        if (rc != 0)
                log_error((&(struct log_fields){.err = &err}), "ends");
        return err_exit_code(rc);
}
