/*
 * One request of an administrator's and the way its answers go back. A request lives until its
 * last answer; when the client has gone meanwhile, answers lead nowhere.
 */
#ifndef TCB_REQUEST_H
#define TCB_REQUEST_H

#include "wire/event.h"
#include "wire/tcb.h"

struct client;
struct request;

/* Made by the server for each frame. */
int request_new(struct client *client, uint32_t id, struct request **ret_request,
                struct err *err) MUST_CHECK;

/* One of several answers; the last one is sent by request_done() or request_fail(). */
void request_send(struct request *request, uint16_t code, const void *message);
void request_progress(struct request *request, const char *text);

/* The last answer; each releases the request. fds as wire_link_send(). */
void request_answer(struct request *request, uint16_t code, const void *message, const int *fds);
void request_done(struct request *request);
void request_fail(struct request *request, const struct err *err);

/* The server's side: whom answers go to, and that the client has gone. */
struct wire_event *client_link(struct client *client);
struct request **client_requests(struct client *client);
void client_lose(struct client *client); /* nothing it says counts any more */
void request_detach_all(struct request **list);

#endif
