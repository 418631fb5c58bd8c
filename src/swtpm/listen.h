/*
 * The control socket as swtpm makes it: at a path that the caller chose, with mode and owner.
 */
#ifndef SWTPM_LISTEN_H
#define SWTPM_LISTEN_H

#include <sys/stat.h>

#include "swtpm/command-line.h"

struct listener {
        int fd;
        int dir;          /* that the socket was made in; -1: it is the caller's */
        struct stat made; /* the socket */
};

#define LISTENER_NONE                                                                              \
        {                                                                                          \
                .fd = -1, .dir = -1                                                                \
        }

/*
 * Listens. A dead socket at the path is replaced; ERR_CONFLICT when somebody answers there, or it
 * is no socket.
 */
int listen_open(const struct command_socket *options, struct listener *ret_listener,
                struct err *err) MUST_CHECK;

/* Ends it; the socket that was made goes, and nothing that came in its place. */
void listen_close(struct listener *listener, const struct command_socket *options);

/* The directory of a path, for what is done there by name. */
int listen_open_dir(const char *path, int *ret_fd, struct err *err) MUST_CHECK;

/* A connection to the socket at path, for clients. */
int listen_connect(const char *path, int *ret_fd, struct err *err) MUST_CHECK;

#endif
