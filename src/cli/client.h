/*
 * The command line's connection to a host: requests to its TCB through catenad.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "cli/cli.h"
#include "wire/link.h"
#include "wire/tcb.h"

struct client;

/* Connects to the host in --state. ERR_UNREACHABLE with a hint when nobody serves there. */
int client_open(struct cli *cli, struct client **ret_client, struct err *err) MUST_CHECK;

/* The same for a host in another directory; cli is for progress only and must stay. */
int client_open_at(struct cli *cli, const char *state, struct client **ret_client,
                   struct err *err) MUST_CHECK;
void client_close(struct client *client);
DEFINE_CLEANUP(struct client *, client_close)
#define AUTO_CLIENT CLEANUP(client_close_p)

/* Sends a request; the answers follow by client_next(). */
int client_send(struct client *client, uint16_t code, const void *message,
                struct err *err) MUST_CHECK;

/*
 * The next answer: 0 and *ret_frame, valid until the next call; the host's own error as it was
 * sent (tcb_error); ERR_INTERRUPTED after SIGINT. Progress is shown and passed over.
 */
int client_next(struct client *client, struct wire_frame *ret_frame, struct err *err) MUST_CHECK;

/* Sends, and takes exactly one answer of this code into the struct. */
int client_call(struct client *client, uint16_t code, const void *message, uint16_t expected,
                void *ret_answer, size_t size, struct err *err) MUST_CHECK;

/* A whole exchange for a request that is answered by tcb_done alone. */
int client_order(struct cli *cli, uint16_t code, const void *message, struct err *err) MUST_CHECK;

/*
 * Sends a request whose answers are any number of one kind and tcb_done: each() gets them one by
 * one, and its error ends the exchange.
 */
struct client_list {
        uint16_t code; /* of the request */
        const void *message;
        uint16_t expected;
        int (*each)(void *user, const struct wire_frame *frame, struct err *err);
        void *user;
};
int client_each(struct client *client, const struct client_list *list, struct err *err) MUST_CHECK;

#endif
