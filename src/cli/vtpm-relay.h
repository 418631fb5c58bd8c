/*
 * One vTPM for several programs: they connect to a private socket one after the other or at once,
 * and each of their commands runs whole, between two others.
 */
#ifndef CLI_VTPM_RELAY_H
#define CLI_VTPM_RELAY_H

#include <limits.h>

#include "cli/vtpm-session.h"

#define RELAY_CLIENTS_MAX 16

struct vtpm_relay {
        struct vtpm_session *session;
        char dir[64];
        char path[80]; /* of the socket */
        int listener;
        struct relay_client {
                int fd; /* -1: free */
                size_t len;
                uint8_t command[VTPM_COMMAND_MAX];
        } clients[RELAY_CLIENTS_MAX];
};

/* Listens in a directory that only this user enters. */
int vtpm_relay_open(struct vtpm_session *session, struct vtpm_relay *ret_relay,
                    struct err *err) MUST_CHECK;

/* Serves until the descriptor until_readable is readable (0), or the vTPM is lost. */
int vtpm_relay_serve(struct vtpm_relay *relay, int until_readable, struct err *err) MUST_CHECK;

/* Turns the programs away and removes socket and directory. Idempotent. */
void vtpm_relay_close(struct vtpm_relay *relay);

/* The other end: commands from stdin to the socket, responses back, until stdin ends. */
int vtpm_relay_client(const char *path, struct err *err) MUST_CHECK;

#endif
