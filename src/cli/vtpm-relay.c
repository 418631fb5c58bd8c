#include "cli/vtpm-relay.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

#define SLOT_UNTIL    0
#define SLOT_LISTENER 1
#define SLOT_CLIENTS  2

static int make_address(const char *path, struct sockaddr_un *ret_address, struct err *err)
{
        *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
        if (strlen(path) >= sizeof(ret_address->sun_path))
                return err_set(err, ERR_USAGE, "socket %s: path too long", path);
        memcpy(ret_address->sun_path, path, strlen(path));
        return 0;
}

int vtpm_relay_open(struct vtpm_session *session, struct vtpm_relay *ret_relay, struct err *err)
{
        struct vtpm_relay *relay = ret_relay;
        struct sockaddr_un address;
        int rc;

        *relay = (struct vtpm_relay){.session = session, .listener = -1};
        for (size_t i = 0; i < RELAY_CLIENTS_MAX; i++)
                relay->clients[i].fd = -1;
        (void)snprintf(relay->dir, sizeof(relay->dir), "/tmp/catena-vtpm-XXXXXX");
        if (mkdtemp(relay->dir) == NULL) {
                relay->dir[0] = '\0';
                return err_set_errno(err, errno, "make a directory in /tmp");
        }
        (void)snprintf(relay->path, sizeof(relay->path), "%s/tpm", relay->dir);
        rc = make_address(relay->path, &address, err);
        if (rc != 0)
                return rc;
        relay->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (relay->listener < 0 ||
            bind(relay->listener, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
            listen(relay->listener, RELAY_CLIENTS_MAX) < 0)
                return err_set_errno(err, errno, "listen at %s", relay->path);
        return 0;
}

static void drop_client(struct relay_client *client)
{
        fd_close(&client->fd);
        explicit_bzero(client->command, sizeof(client->command));
        client->len = 0;
}

void vtpm_relay_close(struct vtpm_relay *relay)
{
        for (size_t i = 0; i < RELAY_CLIENTS_MAX; i++)
                drop_client(&relay->clients[i]);
        fd_close(&relay->listener);
        if (relay->path[0] != '\0')
                (void)unlink(relay->path);
        if (relay->dir[0] != '\0')
                (void)rmdir(relay->dir);
}

/* A program without a place waits in the listener's queue until another has gone. */
static void welcome(struct vtpm_relay *relay)
{
        for (size_t i = 0; i < RELAY_CLIENTS_MAX; i++)
                if (relay->clients[i].fd < 0) {
                        relay->clients[i].fd = accept4(relay->listener, NULL, NULL, SOCK_CLOEXEC);
                        return;
                }
}

static size_t count_clients(const struct vtpm_relay *relay)
{
        size_t n = 0;

        for (size_t i = 0; i < RELAY_CLIENTS_MAX; i++)
                n += relay->clients[i].fd >= 0;
        return n;
}

/* tpm2-tools leave objects loaded and save their contexts: nobody else will ever flush them. */
static int farewell(struct vtpm_relay *relay, struct relay_client *client, struct err *err)
{
        drop_client(client);
        return count_clients(relay) == 0 ? vtpm_session_flush_objects(relay->session, err) : 0;
}

static int run_command(struct vtpm_relay *relay, struct relay_client *client, size_t size,
                       struct err *err)
{
        uint8_t response[VTPM_COMMAND_MAX];
        struct err gone = {0};
        size_t len = 0;
        int rc = vtpm_session_run(relay->session, (struct bytes){client->command, size}, response,
                                  &len, err);

        client->len -= size;
        memmove(client->command, client->command + size, client->len);
        if (rc == 0 && fd_write_all(client->fd, response, len, &gone) != 0)
                rc = farewell(relay, client, err);
        explicit_bzero(response, sizeof(response));
        return rc;
}

static int serve_client(struct vtpm_relay *relay, struct relay_client *client, struct err *err)
{
        struct err malformed = {0};
        size_t size = 0;
        int rc = 0;
        ssize_t n = recv(client->fd, client->command + client->len,
                         sizeof(client->command) - client->len, MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0)
                return farewell(relay, client, err);
        client->len += (size_t)n;
        do {
                if (vtpm_frame_size((struct bytes){client->command, client->len}, &size,
                                    &malformed) != 0)
                        return farewell(relay, client, err);
                if (size == 0 || size > client->len)
                        return 0;
                rc = run_command(relay, client, size, err);
        } while (rc == 0 && client->fd >= 0 && client->len > 0);
        return rc;
}

int vtpm_relay_serve(struct vtpm_relay *relay, int until_readable, struct err *err)
{
        int rc = 0;

        while (rc == 0) {
                bool room = count_clients(relay) < RELAY_CLIENTS_MAX;
                struct pollfd polled[SLOT_CLIENTS + RELAY_CLIENTS_MAX] = {
                    {.fd = until_readable, .events = POLLIN},
                    {.fd = room ? relay->listener : -1, .events = POLLIN}};

                for (size_t i = 0; i < RELAY_CLIENTS_MAX; i++)
                        polled[SLOT_CLIENTS + i] =
                            (struct pollfd){.fd = relay->clients[i].fd, .events = POLLIN};
                if (poll(polled, ARRAY_SIZE(polled), -1) < 0 && errno != EINTR)
                        return err_set_errno(err, errno, "wait for programs");
                if (polled[SLOT_UNTIL].revents != 0)
                        return 0;
                for (size_t i = 0; rc == 0 && i < RELAY_CLIENTS_MAX; i++)
                        if (polled[SLOT_CLIENTS + i].revents != 0)
                                rc = serve_client(relay, &relay->clients[i], err);
                if (polled[SLOT_LISTENER].revents != 0)
                        welcome(relay);
        }
        return rc;
}

static int copy(int from, int to, bool *ret_end, struct err *err)
{
        uint8_t data[VTPM_COMMAND_MAX];
        ssize_t n = read(from, data, sizeof(data));
        int rc = 0;

        if (n < 0 && errno != EINTR)
                return err_set_errno(err, errno, "read");
        if (n > 0)
                rc = fd_write_all(to, data, (size_t)n, err);
        *ret_end = n == 0;
        explicit_bzero(data, sizeof(data));
        return rc;
}

int vtpm_relay_client(const char *path, struct err *err)
{
        struct sockaddr_un address;
        int AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool end = false;
        int rc = make_address(path, &address, err);

        if (rc != 0)
                return rc;
        if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return err_set_errno(err, errno, "connect to %s", path);
        while (rc == 0 && !end) {
                struct pollfd polled[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                                          {.fd = fd, .events = POLLIN}};

                if (poll(polled, 2, -1) < 0 && errno != EINTR)
                        return err_set_errno(err, errno, "wait for a command");
                if (polled[1].revents != 0)
                        rc = copy(fd, STDOUT_FILENO, &end, err);
                if (rc == 0 && !end && polled[0].revents != 0)
                        rc = copy(STDIN_FILENO, fd, &end, err);
        }
        return rc;
}
