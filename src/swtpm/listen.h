/*
 * The control socket as swtpm makes it: at a path that the caller chose, with mode and owner.
 */
#ifndef SWTPM_LISTEN_H
#define SWTPM_LISTEN_H

#include "swtpm/command-line.h"

/*
 * Listens. A dead socket at the path is replaced; ERR_CONFLICT when somebody answers there, or it
 * is no socket.
 */
int listen_open(const struct command_socket *options, int *ret_fd, struct err *err) MUST_CHECK;

/* A connection to the socket at path, for clients. */
int listen_connect(const char *path, int *ret_fd, struct err *err) MUST_CHECK;

#endif
