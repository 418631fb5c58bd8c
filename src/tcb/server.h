/*
 * The administrator's side of the TCB: a local socket, table-defined requests, every one of them
 * treated as hostile. What comes through here may be anybody's who owns the relay.
 */
#ifndef TCB_SERVER_H
#define TCB_SERVER_H

#include "tcb/request.h"
#include "tcb/tcb.h"

#define SERVER_SOCKET "run/tcb.sock"

/*
 * Listens on SERVER_SOCKET in the state directory, or goes on with the socket that a supervisor
 * kept: who connected meanwhile waits in it.
 */
int server_new(struct tcb *tcb, struct server **ret_server, struct err *err) MUST_CHECK;
void server_free(struct server *server);

/* One row of the request table. Answers the request unless it returns an error. */
struct server_row {
        uint16_t code;
        int (*serve)(struct tcb *tcb, const void *message, struct request *request,
                     struct err *err);
};

/* An engine that a client of the TCB before us opened by itself (tcb_vtpm_open). */
int vtpm_adopt_opened(struct instance *instance, struct keeper_left *left,
                      struct err *err) MUST_CHECK;

/* Tables by subject, each ended by code 0; server.c tries them in order. */
extern const struct server_row server_rows_host[];
extern const struct server_row server_rows_vtpm[];
extern const struct server_row server_rows_vm[];

#endif
