#include "tcb/request.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define REQUESTS_MAX 32 /* of one client, without an answer yet */

struct request {
        struct request *next;
        struct client *client; /* NULL: it has gone */
        uint32_t id;
};

int request_new(struct client *client, uint32_t id, struct request **ret_request, struct err *err)
{
        struct request **list = client_requests(client);
        struct request *request;
        size_t n = 0;

        for (request = *list; request != NULL; request = request->next)
                n++;
        if (n >= REQUESTS_MAX)
                return err_set(err, ERR_LIMIT, "more than %d requests at once", REQUESTS_MAX);
        request = calloc(1, sizeof(*request));
        if (request == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        request->client = client;
        request->id = id;
        request->next = *list;
        *list = request;
        *ret_request = request;
        return 0;
}

/* A client that missed an answer would wait for it or believe that there was none: it is cut. */
static void give_up(struct request *request, const struct err *err)
{
        struct client *client = request->client;

        log_warning((&(struct log_fields){.peer = "administrator", .op = "answer", .err = err}),
                    "an answer was not sent; its connection is closed");
        client_lose(client);
}

static void send_answer(struct request *request, uint16_t code, uint16_t flags, const void *message,
                        const int *fds)
{
        struct err err = {0};

        if (request->client == NULL)
                return;
        if (wire_event_send(client_link(request->client), code, request->id, flags, message, fds,
                            &err) != 0)
                give_up(request, &err);
}

static void release(struct request *request)
{
        if (request->client != NULL) {
                struct request **at = client_requests(request->client);

                while (*at != request)
                        at = &(*at)->next;
                *at = request->next;
        }
        free(request);
}

void request_send(struct request *request, uint16_t code, const void *message)
{
        send_answer(request, code, WIRE_MORE, message, NULL);
}

void request_progress(struct request *request, const char *text)
{
        struct tcb_progress progress = {.text = wire_text(text)};

        request_send(request, tcb_progress_code, &progress);
}

void request_answer(struct request *request, uint16_t code, const void *message, const int *fds)
{
        send_answer(request, code, 0, message, fds);
        release(request);
}

void request_done(struct request *request)
{
        struct tcb_done done = {0};

        request_answer(request, tcb_done_code, &done, NULL);
}

void request_fail(struct request *request, const struct err *err)
{
        struct err words = *err;
        struct tcb_error failure = {.code = (uint16_t)err_to_wire(err->code)};

        failure.text = wire_text_fit(words.text, 500);
        failure.hint = wire_text_fit(words.hint, 250);
        request_answer(request, tcb_error_code, &failure, NULL);
}

void request_detach_all(struct request **list)
{
        while (*list != NULL) {
                struct request *request = *list;

                *list = request->next;
                request->client = NULL;
                request->next = NULL;
        }
}
