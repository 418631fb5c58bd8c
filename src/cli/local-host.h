/*
 * A host of the demo's own: catena-supervisor with catena-tcb, and catenad, on a state directory,
 * ended with it.
 */
#ifndef CLI_LOCAL_HOST_H
#define CLI_LOCAL_HOST_H

#include <limits.h>

#include "base/spawn.h"
#include "cli/client.h"

struct local_host {
        char state[PATH_MAX];
        struct spawn_child tcb; /* its supervisor */
        struct spawn_child relay;
        struct client *client;
};

/* Makes the directory with a configuration of this name, starts both daemons, connects. */
int local_host_start(struct cli *cli, const char *state, const char *name,
                     struct local_host *ret_host, struct err *err) MUST_CHECK;

/* The same, with further lines of configuration after those that name the host. */
int local_host_start_with(struct cli *cli, const char *state, const char *name, const char *conf,
                          struct local_host *ret_host, struct err *err) MUST_CHECK;

/* Ends both in order, the TCB's guests and engines with it. Also on one that never started. */
void local_host_stop(struct local_host *host);

#endif
