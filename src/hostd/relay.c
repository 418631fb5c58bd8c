#include "hostd/relay.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "wire/event.h"
#include "wire/tcb.h"

#define PAIRS_MAX                                                                                  \
        200 /* below the TCB's own limit, so that one is left for whoever mends things             \
             */
#define CONNECTIONS_MAX 2000 /* that are taken in a second */
#define BACKLOG         4096

/* One client and its connection to the TCB. */
struct pair {
        struct pair *next;
        struct relay *relay;
        struct wire_event *client;
        struct wire_event *tcb;
};

struct relay {
        sd_event *event;
        sd_event_source *source;
        struct pair *pairs;
        size_t n_pairs;
        char listen_path[PATH_MAX];
        char tcb_path[PATH_MAX];
        int fd;
        char sandbox[128];
};

static void pair_free(struct pair *pair)
{
        struct pair **at = &pair->relay->pairs;

        while (*at != pair)
                at = &(*at)->next;
        *at = pair->next;
        pair->relay->n_pairs--;
        wire_event_free(pair->client);
        wire_event_free(pair->tcb);
        free(pair);
}

static int on_client_frame(void *user, struct wire_frame *frame, struct err *err)
{
        struct pair *pair = user;
        const struct tcb_relay_is about = {.version = wire_text(CATENA_VERSION),
                                           .sandbox = wire_text(pair->relay->sandbox)};

        if (frame->message->code == tcb_relay_code)
                return wire_event_send(pair->client, tcb_relay_is_code, frame->id, 0, &about, NULL,
                                       err);
        return wire_event_forward(pair->tcb, frame, err);
}

static int on_tcb_frame(void *user, struct wire_frame *frame, struct err *err)
{
        struct pair *pair = user;

        return wire_event_forward(pair->client, frame, err);
}

static void on_closed(void *user, const struct err *err)
{
        if (err->code != ERR_UNREACHABLE)
                log_warning((&(struct log_fields){.err = err}), "a connection is cut off");
        pair_free(user);
}

static const struct wire_event_ops client_ops = {on_client_frame, on_closed};
static const struct wire_event_ops tcb_ops = {on_tcb_frame, on_closed};

static int make_address(const char *path, struct sockaddr_un *ret_address, struct err *err)
{
        *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
        if (strlen(path) >= sizeof(ret_address->sun_path))
                return err_set(err, ERR_LIMIT, "socket path too long: %s", path);
        (void)snprintf(ret_address->sun_path, sizeof(ret_address->sun_path), "%s", path);
        return 0;
}

static int connect_tcb(const struct relay *relay, int *ret_fd, struct err *err)
{
        int AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_un address;

        if (fd < 0)
                return err_set_errno(err, errno, "make socket");
        if (make_address(relay->tcb_path, &address, err) != 0)
                return err->code;
        if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return err_set_errno(err, errno, "connect to the TCB at %s", relay->tcb_path);
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static int add_pair(struct relay *relay, int client, struct err *err)
{
        int AUTO_FD owned = client;
        int AUTO_FD tcb = -1;
        struct pair *pair;

        if (relay->n_pairs == PAIRS_MAX)
                return err_set(err, ERR_LIMIT, "more than %d clients", PAIRS_MAX);
        if (connect_tcb(relay, &tcb, err) != 0)
                return err->code;
        pair = calloc(1, sizeof(*pair));
        if (pair == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        pair->relay = relay;
        pair->next = relay->pairs;
        relay->pairs = pair;
        relay->n_pairs++;
        if (wire_event_new(relay->event, TAKE_FD(tcb), &wire_tcb_protocol, WIRE_CLIENT, &tcb_ops,
                           pair, &pair->tcb, err) != 0 ||
            wire_event_new(relay->event, TAKE_FD(owned), &wire_tcb_protocol, WIRE_SERVER,
                           &client_ops, pair, &pair->client, err) != 0) {
                pair_free(pair);
                return err->code;
        }
        return 0;
}

static int on_connection(sd_event_source *source, int fd, uint32_t revents, void *user)
{
        struct err err = {0};
        int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

        (void)source;
        (void)revents;
        if (peer >= 0 && add_pair(user, peer, &err) != 0)
                log_warning((&(struct log_fields){.err = &err}), "a client is turned away");
        return 0;
}

static int listen_at(struct relay *relay, struct err *err)
{
        struct sockaddr_un address;
        mode_t before;
        int rc;

        if (make_address(relay->listen_path, &address, err) != 0)
                return err->code;
        relay->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (relay->fd < 0)
                return err_set_errno(err, errno, "make socket");
        (void)unlink(relay->listen_path);
        before = umask(0117);
        rc = bind(relay->fd, (const struct sockaddr *)&address, sizeof(address));
        (void)umask(before);
        if (rc < 0 || listen(relay->fd, BACKLOG) < 0)
                return err_set_errno(err, errno, "listen at %s", relay->listen_path);
        rc =
            sd_event_add_io(relay->event, &relay->source, relay->fd, EPOLLIN, on_connection, relay);
        /* A connection that cannot be taken (no descriptors left) stays ready: not a busy loop. */
        if (rc >= 0)
                rc = sd_event_source_set_ratelimit(relay->source, 1000000, CONNECTIONS_MAX);
        return rc < 0 ? err_set_errno(err, -rc, "watch %s", relay->listen_path) : 0;
}

int relay_new(const struct relay_request *request, struct relay **ret_relay, struct err *err)
{
        struct relay *relay = calloc(1, sizeof(*relay));

        if (relay == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        relay->event = request->event;
        relay->fd = -1;
        (void)snprintf(relay->listen_path, sizeof(relay->listen_path), "%s", request->listen_path);
        (void)snprintf(relay->tcb_path, sizeof(relay->tcb_path), "%s", request->tcb_path);
        if (listen_at(relay, err) != 0) {
                relay_free(relay);
                return err->code;
        }
        *ret_relay = relay;
        return 0;
}

void relay_set_sandbox(struct relay *relay, const char *words)
{
        (void)snprintf(relay->sandbox, sizeof(relay->sandbox), "%s", words);
}

void relay_free(struct relay *relay)
{
        if (relay == NULL)
                return;
        while (relay->pairs != NULL)
                pair_free(relay->pairs);
        sd_event_source_disable_unref(relay->source);
        if (relay->fd >= 0)
                (void)unlink(relay->listen_path);
        fd_close(&relay->fd);
        free(relay);
}
