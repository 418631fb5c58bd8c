/*
 * swtpm socket: one vTPM at a control socket. The socket is there first, then the state is opened
 * and the engine started, so that whoever waits for the socket does not wait for those. One client
 * at a time; others wait until it has gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "swtpm/capabilities.h"
#include "swtpm/confine.h"
#include "swtpm/daemon.h"
#include "swtpm/listen.h"
#include "swtpm/programs.h"
#include "swtpm/relay.h"
#include "swtpm/start.h"

struct server {
        const struct command_socket *options;
        struct listener listener;
        int signals;
        struct state_file *state;
        struct secret *key;
        struct secret *migration_key;
        struct start_place place;
        struct engine_link link;
        struct relay relay;
};

enum { POLL_SIGNALS, POLL_CLIENT, POLL_ENGINE, POLL_COUNT };

static int open_signals(int *ret_fd, struct err *err)
{
        /* A file that may not grow is a save that waits, not our end. */
        const struct sigaction ignore = {.sa_handler = SIG_IGN};
        sigset_t set;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGTERM);
        (void)sigaddset(&set, SIGINT);
        if (sigaction(SIGXFSZ, &ignore, NULL) < 0 || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return err_set_errno(err, errno, "signals");
        *ret_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        return *ret_fd < 0 ? err_set_errno(err, errno, "signals") : 0;
}

static int open_state(struct server *server, struct err *err)
{
        const struct command_socket *options = server->options;
        const char *where =
            options->tpmstate.dir[0] != '\0' ? options->tpmstate.dir : options->tpmstate.uri;
        int rc = start_find_place(where, options->tpmstate.mode, &server->place, err);

        if (rc == 0)
                rc = start_read_key(&options->key, &server->key, err);
        if (rc == 0)
                rc = start_read_key(&options->migration_key, &server->migration_key, err);
        if (rc == 0)
                rc = state_file_open(&server->place.place, server->key, STATE_ANY, &server->state,
                                     err);
        if (rc == 0)
                rc = start_check_foreign(&server->place.place, server->state, err);
        if (rc == 0 && !state_file_is_sealed(server->state))
                log_warning(NULL, "the TPM's state is kept in clear: no key or passphrase");
        return rc;
}

static int start_engine(struct server *server, struct err *err)
{
        struct engine_link *link = &server->link;

        link->state = server->state;
        link->migration_key = server->migration_key;
        link->uuid = server->place.place.uuid;
        link->signals = server->signals;
        return engine_link_start(link, err);
}

/* A client that had the TPM takes its power with it: the next one finds it off. */
static int end_client(struct server *server, bool *ret_end, struct err *err)
{
        struct relay *relay = &server->relay;
        const bool had_data = relay->has_data;
        const bool asked = relay->shut_down;

        relay_hang_up(relay);
        *ret_end = asked || (had_data && server->options->terminate);
        if (*ret_end || !had_data)
                return 0;
        engine_link_stop(&server->link);
        return start_engine(server, err);
}

static int serve_client(struct server *server, bool *ret_end, struct err *err)
{
        struct err why = {0};
        int rc = relay_run(&server->relay, &why);

        if (rc == 0 && !server->relay.shut_down)
                return 0;
        if (server->link.gone) {
                *err = why;
                return err->code;
        }
        if (rc != 0 && rc != ERR_UNREACHABLE)
                log_warning(&(struct log_fields){.err = &why}, "the client is cut off");
        return end_client(server, ret_end, err);
}

static int accept_client(struct server *server, struct err *err)
{
        const int fd = accept4(server->listener.fd, NULL, NULL, SOCK_CLOEXEC);

        if (fd >= 0)
                relay_accept(&server->relay, fd);
        else if (errno != EINTR && errno != ECONNABORTED)
                return err_set_errno(err, errno, "accept");
        return 0;
}

static int loop(struct server *server, struct err *err)
{
        bool end = false;
        int rc = 0;

        while (rc == 0 && !end) {
                const bool has_client = server->relay.client >= 0;
                struct pollfd polled[POLL_COUNT] = {
                    [POLL_SIGNALS] = {.fd = server->signals, .events = POLLIN},
                    [POLL_CLIENT] = {.fd = has_client ? server->relay.client : server->listener.fd,
                                     .events = POLLIN},
                    [POLL_ENGINE] = {.fd = wire_link_fd(server->link.wire), .events = POLLIN},
                };

                if (poll(polled, POLL_COUNT, -1) < 0 && errno != EINTR)
                        return err_set_errno(err, errno, "poll");
                if (polled[POLL_SIGNALS].revents != 0)
                        return 0;
                if (polled[POLL_ENGINE].revents != 0)
                        rc = engine_link_serve(&server->link, err);
                else if (polled[POLL_CLIENT].revents != 0)
                        rc = has_client ? serve_client(server, &end, err)
                                        : accept_client(server, err);
        }
        return rc;
}

static void done(struct server *server)
{
        relay_hang_up(&server->relay);
        engine_link_stop(&server->link);
        starter_free(server->link.starter);
        state_file_close(server->state);
        secret_free(server->key);
        secret_free(server->migration_key);
        listen_close(&server->listener, server->options);
        fd_close(&server->signals);
        daemon_remove_pid(server->options);
}

static int confine(const struct server *server, struct err *err)
{
        const struct confine_request request = {
            .engine = server->link.process.child.pid,
            .socket_dir = server->listener.dir,
            .pidfile = server->options->pid.file,
        };
        char words[SPAWN_WORDS_MAX] = "";
        int rc;

        rc = confine_server(&request, words, sizeof(words), err);
        if (rc == 0 && words[0] != '\0')
                log_warning(NULL, "the confinement of catena-swtpm lacks: %s", words);
        return rc;
}

static int serve(struct server *server, struct err *err)
{
        const struct command_log *log = &server->options->log;
        struct daemon daemon = {.pipe = -1};
        int rc = start_run_as(server->options->runas, err);

        if (rc == 0)
                rc = open_signals(&server->signals, err);
        if (rc == 0)
                rc = listen_open(server->options, &server->listener, err);
        if (rc == 0 && server->options->daemon)
                rc = daemon_fork(&daemon, err);
        if (rc == 0)
                rc = daemon_write_pid(server->options, err);
        /* Where it ends with its client it needs one engine, and starts that itself. */
        if (rc == 0 && !server->options->terminate)
                rc = starter_new(&server->link.starter, err);
        if (rc == 0)
                rc = open_state(server, err);
        if (rc == 0)
                rc = start_engine(server, err);
        if (rc == 0)
                rc = daemon_ready(&daemon, log->file[0] != '\0' || log->fd >= 0, err);
        if (rc == 0)
                rc = confine(server, err);
        return rc != 0 ? rc : loop(server, err);
}

static int run(const struct command_socket *options, const struct options_notes *notes,
               struct err *err)
{
        static struct server server;
        int rc = start_log(&options->log, err);

        if (rc != 0)
                return rc;
        start_log_notes(notes);
        server.options = options;
        server.listener = (struct listener)LISTENER_NONE;
        server.signals = -1;
        server.link.control = -1;
        relay_init(&server.relay, &server.link);
        rc = serve(&server, err);
        done(&server);
        return rc;
}

static const char usage[] =
    "usage: swtpm socket --tpm2 --ctrl type=unixio,path=PATH --tpmstate dir=DIR ...\n"
    "The options are these of swtpm(8), see catena-swtpm(8); no other is known:\n";

static int print_usage(void)
{
        (void)fputs(usage, stdout);
        options_print(&command_socket_table, stdout);
        return 0;
}

int program_swtpm(int argc, char *const *argv, struct err *err)
{
        static struct command_socket options;
        struct options_notes notes;
        int rc;

        if (argc < 1)
                return err_set(err, ERR_USAGE, "usage: swtpm socket ...");
        if (strcmp(argv[0], "--version") == 0 || strcmp(argv[0], "-v") == 0) {
                (void)printf("TPM emulator version %s, by Catena %s\n", CAPABILITIES_VERSION,
                             CATENA_VERSION);
                return 0;
        }
        if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)
                return print_usage();
        if (strcmp(argv[0], "socket") != 0)
                return err_set(err, ERR_USAGE, "swtpm %.60s: only \"swtpm socket\" is there",
                               argv[0]);
        rc = command_socket_parse(argc - 1, argv + 1, &options, &notes, err);
        if (rc != 0)
                return rc;
        if (options.help)
                return print_usage();
        if (options.print_capabilities) {
                (void)fputs(capabilities_socket, stdout);
                return 0;
        }
        return run(&options, &notes, err);
}
