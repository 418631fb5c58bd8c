/*
 * catenad: the management daemon of a host, unprivileged and untrusted. See catenad(8).
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/fs.h"
#include "base/log.h"
#include "hostd/confine.h"
#include "hostd/relay.h"

static const char usage[] =
    "Usage: catenad [--state DIR]\n"
    "\n"
    "Relays administrators' requests to the host's trusted core, catena-tcb. It is not trusted.\n"
    "\n"
    "  --state DIR  the instance's directory (default: /var/lib/catena)\n"
    "  --version, --help\n";

/* -1: go on; otherwise the exit status. */
static int parse(int argc, char **argv, const char **ret_state)
{
        static const struct option options[] = {
            {"state", required_argument, NULL, 's'},
            {"version", no_argument, NULL, 'V'},
            {"help", no_argument, NULL, 'h'},
            {NULL, 0, NULL, 0},
        };
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
                if (c == 's') {
                        *ret_state = optarg;
                        continue;
                }
                if (c == 'V') {
                        (void)puts("catenad " CATENA_VERSION);
                        return 0;
                }
                (void)fputs(usage, c == 'h' ? stdout : stderr);
                return c == 'h' ? 0 : err_exit_code(ERR_USAGE);
        }
        if (optind == argc)
                return -1;
        (void)fprintf(stderr, "catenad: unexpected argument %s\n", argv[optind]);
        return err_exit_code(ERR_USAGE);
}

static int watch_signals(sd_event *event, struct err *err)
{
        sigset_t mask;
        int rc;

        (void)sigemptyset(&mask);
        (void)sigaddset(&mask, SIGTERM);
        (void)sigaddset(&mask, SIGINT);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return err_set_errno(err, errno, "block signals");
        rc = sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL);
        if (rc >= 0)
                rc = sd_event_add_signal(event, NULL, SIGINT, NULL, NULL);
        return rc < 0 ? err_set_errno(err, -rc, "watch signals") : 0;
}

static int serve(sd_event *event, const char *state, struct err *err)
{
        char listen_path[PATH_MAX];
        char tcb_path[PATH_MAX];
        const struct relay_request request = {
            .event = event, .listen_path = listen_path, .tcb_path = tcb_path};
        struct relay *relay = NULL;
        char degraded[128];
        int rc;

        if (fs_join(listen_path, sizeof(listen_path), state, "run/catenad.sock", err) != 0 ||
            fs_join(tcb_path, sizeof(tcb_path), state, "run/tcb.sock", err) != 0 ||
            watch_signals(event, err) != 0 || relay_new(&request, &relay, err) != 0)
                return err->code;
        if (confine_relay(degraded, sizeof(degraded), err) != 0) {
                relay_free(relay);
                return err->code;
        }
        relay_set_sandbox(relay, degraded);
        if (degraded[0] != '\0')
                log_warning(NULL, "sandbox: no %s", degraded);
        (void)sd_notify(0, "READY=1");
        rc = sd_event_loop(event);
        relay_free(relay);
        return rc < 0 ? err_set_errno(err, -rc, "event loop") : 0;
}

int main(int argc, char **argv)
{
        const char *state = "/var/lib/catena";
        sd_event *event = NULL;
        struct err err = {0};
        int rc = parse(argc, argv, &state);

        if (rc >= 0)
                return rc;
        (void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
        log_init("catenad", LOG_LEVEL_INFO);
        rc = sd_event_new(&event);
        rc = rc < 0 ? err_set_errno(&err, -rc, "make event loop") : serve(event, state, &err);
        sd_event_unref(event);
        if (rc != 0)
                log_error((&(struct log_fields){.err = &err}), "ends");
        return err_exit_code(rc);
}
