#include "cli/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fs.h"
#include "cli/output.h"

struct client {
        struct cli *cli;
        struct wire_link *link;
        uint32_t id;
};

static int connect_to(const char *path, int *ret_fd, struct err *err)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return err_set_errno(err, errno, "make socket");
        if (strlen(path) >= sizeof(address.sun_path))
                return err_set(err, ERR_USAGE, "the state directory's path is too long");
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) {
                *ret_fd = TAKE_FD(fd);
                return 0;
        }
        (void)err_set_errno(err, errno, "connect to the host at %s", path);
        if (err->code == ERR_NOT_FOUND)
                err->code = ERR_UNREACHABLE;
        return err_hint(err, "start catena-supervisor and catenad with the same --state, or see "
                             "catena host doctor");
}

int client_open(struct cli *cli, struct client **ret_client, struct err *err)
{
        return client_open_at(cli, cli->state, ret_client, err);
}

int client_open_at(struct cli *cli, const char *state, struct client **ret_client, struct err *err)
{
        char path[CLI_STATE_MAX + 32];
        struct client *client;
        int fd;
        int rc = fs_join(path, sizeof(path), state, "run/catenad.sock", err);

        if (rc == 0)
                rc = connect_to(path, &fd, err);
        if (rc != 0)
                return rc;
        client = calloc(1, sizeof(*client));
        if (client == NULL) {
                fd_close(&fd);
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        }
        client->cli = cli;
        rc = wire_link_new(fd, &wire_tcb_protocol, WIRE_CLIENT, &client->link, err);
        if (rc != 0) {
                free(client);
                return rc;
        }
        *ret_client = client;
        return 0;
}

void client_close(struct client *client)
{
        if (client == NULL)
                return;
        wire_link_free(client->link);
        free(client);
}

int client_send(struct client *client, uint16_t code, const void *message, struct err *err)
{
        struct writer AUTO_WRITER w = {0};

        /* What does not fit its field is what the user gave us. */
        writer_init(&w, wire_tcb_protocol.payload_max);
        if (wire_encode(wire_message_find(&wire_tcb_protocol, code), message, &w, err) != 0)
                return err_set(err, ERR_USAGE,
                               "a name is too long or has characters that no name has");
        return wire_link_send(client->link, code, ++client->id, 0, message, NULL, err);
}

/* Waits so that a signal is noticed: reads themselves go on after one. */
static int wait_for_answer(struct client *client, struct err *err)
{
        struct pollfd fd = {.fd = wire_link_fd(client->link), .events = POLLIN};

        while (poll(&fd, 1, -1) < 0)
                if (errno != EINTR)
                        return err_set_errno(err, errno, "wait for the host");
                else if (cli_interrupted())
                        return err_set(err, ERR_INTERRUPTED, "interrupted");
        return cli_interrupted() ? err_set(err, ERR_INTERRUPTED, "interrupted") : 0;
}

static int take_error(const struct wire_frame *frame, struct err *err)
{
        struct tcb_error failure;
        char text[ERR_TEXT_MAX];
        char hint[ERR_HINT_MAX];
        int rc;

        rc = wire_frame_decode(frame, &failure, sizeof(failure), err);
        if (rc != 0)
                return rc;
        wire_text_copy(failure.text, text, sizeof(text));
        wire_text_copy(failure.hint, hint, sizeof(hint));
        (void)err_set(err, err_from_wire(failure.code), "%s", text);
        if (err->code == ERR_OK)
                err->code = ERR_FAILED;
        if (hint[0] != '\0')
                (void)err_hint(err, "%s", hint);
        return err->code;
}

static int show_progress(struct client *client, const struct wire_frame *frame, struct err *err)
{
        struct tcb_progress progress;
        char text[201];
        int rc = wire_frame_decode(frame, &progress, sizeof(progress), err);

        if (rc != 0)
                return rc;
        cli_progress(client->cli, "%s", wire_text_copy(progress.text, text, sizeof(text)));
        return 0;
}

int client_next(struct client *client, struct wire_frame *ret_frame, struct err *err)
{
        for (;;) {
                struct wire_frame frame;
                int rc = wait_for_answer(client, err);

                if (rc != 0)
                        return rc;
                if (wire_link_receive(client->link, &frame, err) != 0)
                        return err_wrap(err, "the host");
                if (frame.message->code == tcb_progress_code) {
                        rc = show_progress(client, &frame, err);
                        if (rc != 0)
                                return rc;
                        continue;
                }
                cli_progress_end(client->cli);
                if (frame.id != client->id) {
                        wire_frame_close_fds(&frame);
                        return err_set(err, ERR_MALFORMED, "the host answers something else");
                }
                if (frame.message->code == tcb_error_code)
                        return take_error(&frame, err);
                *ret_frame = frame;
                return 0;
        }
}

int client_call(struct client *client, uint16_t code, const void *message, uint16_t expected,
                void *ret_answer, size_t size, struct err *err)
{
        struct wire_frame frame;

        if (client_send(client, code, message, err) != 0 || client_next(client, &frame, err) != 0)
                return err->code;
        if (frame.message->code != expected) {
                wire_frame_close_fds(&frame);
                return err_set(err, ERR_MALFORMED, "the host answers with %s", frame.message->name);
        }
        return wire_frame_decode(&frame, ret_answer, size, err);
}

int client_order(struct cli *cli, uint16_t code, const void *message, struct err *err)
{
        struct client AUTO_CLIENT *client = NULL;
        struct tcb_done done;
        int rc = client_open(cli, &client, err);

        if (rc != 0)
                return rc;
        return client_call(client, code, message, tcb_done_code, &done, sizeof(done), err);
}

static int take_one(struct client *client, const struct client_list *list, bool *ret_done,
                    struct err *err)
{
        struct wire_frame frame;
        int rc = client_next(client, &frame, err);

        if (rc != 0)
                return rc;
        *ret_done = frame.message->code == tcb_done_code;
        if (frame.message->code == list->expected)
                rc = list->each(list->user, &frame, err);
        else if (!*ret_done)
                rc = err_set(err, ERR_MALFORMED, "the host answers with %s", frame.message->name);
        wire_frame_close_fds(&frame);
        return rc;
}

int client_each(struct client *client, const struct client_list *list, struct err *err)
{
        bool done = false;
        int rc = client_send(client, list->code, list->message, err);

        while (rc == 0 && !done)
                rc = take_one(client, list, &done, err);
        return rc;
}
