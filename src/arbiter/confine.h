/*
 * The arbiter locks itself up once its TPM is open: no more files but the embedded TPM's state, no
 * programs, no sockets, no other processes.
 */
#ifndef ARBITER_CONFINE_H
#define ARBITER_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

struct confine_request {
        int dir;       /* where the embedded TPM's state is saved; -1 without */
        pid_t engine;  /* the one process that may be killed; 0 without */
        bool connects; /* the TCTI connects to a unix socket again and again */
};

/* Writes what the kernel does not offer, or "", to ret_words. */
int confine_arbiter(const struct confine_request *request, char *ret_words, size_t size,
                    struct err *err) MUST_CHECK;

#endif
