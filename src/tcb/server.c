#include "tcb/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

#define CLIENTS_MAX 256
#define KEPT_NAME   "server"
#define BACKLOG     4096

/* That are taken in a second. */
#define CONNECTIONS_MAX 2000

struct client {
        struct client *next;
        struct server *server;
        struct wire_event *link;
        struct request *requests;
        bool lost;
};

struct server {
        struct tcb *tcb;
        sd_event_source *source;
        struct client *clients;
        size_t n_clients;
        char path[PATH_MAX];
        int fd;
};

struct wire_event *client_link(struct client *client)
{
        return client->link;
}

struct request **client_requests(struct client *client)
{
        return &client->requests;
}

void client_lose(struct client *client)
{
        client->lost = true;
        wire_event_abort(client->link);
        request_detach_all(&client->requests);
}

static void client_free(struct client *client)
{
        struct client **at = &client->server->clients;

        while (*at != client)
                at = &(*at)->next;
        *at = client->next;
        client->server->n_clients--;
        request_detach_all(&client->requests);
        wire_event_free(client->link);
        free(client);
}

/* Requests -------------------------------------------------------------------------------- */

static const struct server_row *find_row(uint16_t code)
{
        static const struct server_row *const tables[] = {server_rows_host, server_rows_vtpm,
                                                          server_rows_vm};

        for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
                for (const struct server_row *row = tables[i]; row->code != 0; row++)
                        if (row->code == code)
                                return row;
        return NULL;
}

static int on_frame(void *user, struct wire_frame *frame, struct err *err)
{
        struct client *client = user;
        const struct server_row *row = find_row(frame->message->code);
        _Alignas(max_align_t) uint8_t message[1024];
        struct request *request = NULL;
        struct err failure = {0};

        if (client->lost)
                return err_set(err, ERR_UNREACHABLE, "client is lost");
        if (row == NULL)
                return err_set(err, ERR_MALFORMED, "no such request: %s", frame->message->name);
        if (wire_frame_decode(frame, message, frame->message->size, err) != 0 ||
            request_new(client, frame->id, &request, err) != 0)
                return err->code;
        if (row->serve(client->server->tcb, message, request, &failure) != 0)
                request_fail(request, &failure);
        return 0;
}

static void on_closed(void *user, const struct err *err)
{
        if (err->code != ERR_UNREACHABLE)
                log_warning((&(struct log_fields){.peer = "administrator", .err = err}), "cut off");
        client_free(user);
}

static const struct wire_event_ops client_ops = {on_frame, on_closed};

/* Connections -------------------------------------------------------------------------------- */

static int add_client(struct server *server, int fd, struct err *err)
{
        int AUTO_FD owned = fd;
        struct client *client;

        if (server->n_clients == CLIENTS_MAX)
                return err_set(err, ERR_LIMIT, "more than %d clients", CLIENTS_MAX);
        client = calloc(1, sizeof(*client));
        if (client == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        client->server = server;
        if (wire_event_new(server->tcb->event, TAKE_FD(owned), &wire_tcb_protocol, WIRE_SERVER,
                           &client_ops, client, &client->link, err) != 0) {
                free(client);
                return err->code;
        }
        client->next = server->clients;
        server->clients = client;
        server->n_clients++;
        return 0;
}

static int on_connection(sd_event_source *source, int fd, uint32_t revents, void *user)
{
        struct server *server = user;
        struct err err = {0};
        int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

        (void)source;
        (void)revents;
        if (peer >= 0 && add_client(server, peer, &err) != 0)
                log_warning((&(struct log_fields){.peer = "administrator", .err = &err}),
                            "not let in");
        return 0;
}

/* Bound under a umask: nobody else can connect in between. */
static int make_socket(struct server *server, struct err *err)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        mode_t before;
        int rc;

        if (strlen(server->path) >= sizeof(address.sun_path))
                return err_set(err, ERR_LIMIT, "socket path too long: %s", server->path);
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", server->path);
        server->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (server->fd < 0)
                return err_set_errno(err, errno, "make socket");
        (void)unlink(server->path); /* the store's lock shows that no other TCB runs here */
        before = umask(0117);
        rc = bind(server->fd, (const struct sockaddr *)&address, sizeof(address));
        (void)umask(before);
        if (rc < 0 || listen(server->fd, BACKLOG) < 0)
                return err_set_errno(err, errno, "listen at %s", server->path);
        keeper_put(server->tcb->keeper, KEPT_NAME, kept_server_code, &(const struct kept_server){0},
                   &server->fd);
        return 0;
}

static int listen_at(struct server *server, struct err *err)
{
        struct keeper_left AUTO_LEFT *left = keeper_take(server->tcb->keeper, KEPT_NAME);
        int rc = 0;

        if (left != NULL && left->message->code == kept_server_code)
                server->fd = TAKE_FD(left->fds[0]);
        else
                rc = make_socket(server, err);
        if (rc != 0)
                return rc;
        rc = sd_event_add_io(server->tcb->event, &server->source, server->fd, EPOLLIN,
                             on_connection, server);
        /* A connection that cannot be taken (no descriptors left) stays ready: not a busy loop. */
        if (rc >= 0)
                rc = sd_event_source_set_ratelimit(server->source, 1000000, CONNECTIONS_MAX);
        return rc < 0 ? err_set_errno(err, -rc, "watch %s", server->path) : 0;
}

int server_new(struct tcb *tcb, struct server **ret_server, struct err *err)
{
        struct server *server = calloc(1, sizeof(*server));

        if (server == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        server->tcb = tcb;
        server->fd = -1;
        if (tcb_config_path(&tcb->config, SERVER_SOCKET, server->path, err) != 0 ||
            listen_at(server, err) != 0) {
                server_free(server);
                return err->code;
        }
        *ret_server = server;
        return 0;
}

void server_free(struct server *server)
{
        if (server == NULL)
                return;
        while (server->clients != NULL)
                client_free(server->clients);
        sd_event_source_disable_unref(server->source);
        if (server->fd >= 0)
                (void)unlink(server->path);
        fd_close(&server->fd);
        free(server);
}
