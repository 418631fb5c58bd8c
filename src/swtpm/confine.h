/*
 * "swtpm socket" locks itself up once its socket, state and engine are there: it opens nothing,
 * starts nothing and connects to nobody. What is left of the file system is removing its socket and
 * its pid file.
 */
#ifndef SWTPM_CONFINE_H
#define SWTPM_CONFINE_H

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

struct confine_request {
        pid_t engine;        /* the one process that may be killed; 0: none */
        int socket_dir;      /* where the socket was made; -1: none was */
        const char *pidfile; /* "" without */
};

/* Writes what the kernel does not offer, or "", to ret_words. There is no way back. */
int confine_server(const struct confine_request *request, char *ret_words, size_t size,
                   struct err *err) MUST_CHECK;

#endif
