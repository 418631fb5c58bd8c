/*
 * QEMU's control channel through this program to the engine: one request, one answer. Everything
 * passes as it is but the state of a saved VM: the engine gives and takes a token, QEMU's stream
 * carries what the token stands for (package.h).
 */
#ifndef SWTPM_RELAY_H
#define SWTPM_RELAY_H

#include "swtpm/engine-link.h"
#include "wire/control.h"

struct relay {
        struct engine_link *link; /* not ours */
        int client;               /* QEMU's side; -1: none */
        int passed_fd;            /* came with the request that is being read */
        bool has_data;            /* the client has a data channel */
        bool shut_down;           /* the client asked for the end */
        size_t in_len;
        uint8_t in[CONTROL_REQUEST_MAX];
};

/* Without a client. */
void relay_init(struct relay *relay, struct engine_link *link);

/* Takes the connection. */
void relay_accept(struct relay *relay, int client);

/*
 * Reads what the client sent and answers every whole request. On an error the
 * connection is of no use any more, and where link->gone is set, neither is the engine.
 */
int relay_run(struct relay *relay, struct err *err) MUST_CHECK;

/* Closes the connection and forgets what came over it. */
void relay_hang_up(struct relay *relay);

#endif
