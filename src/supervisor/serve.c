#include "supervisor/serve.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "wire/link.h"

#define FRAMES_A_TURN 64 /* then signals have their turn */

enum phase { PHASE_SILENT, PHASE_LISTING, PHASE_LISTED };

struct serve {
        struct wire_link *link;
        struct serve_keep *keep;
        enum phase phase;
        const struct kept *next; /* of the list, NULL: its end */
        bool serving;
        bool done;
        bool asked; /* whether it lives */
        bool answered;
};

int serve_new(int fd, struct serve_keep *keep, struct serve **ret_serve, struct err *err)
{
        int AUTO_FD owned = fd;
        struct serve *serve = NULL;
        int rc = fd_set_nonblocking(owned, err);

        if (rc != 0)
                return rc;
        serve = calloc(1, sizeof(*serve));
        if (serve == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        serve->keep = keep;
        rc = wire_link_new(TAKE_FD(owned), &wire_supervisor_protocol, WIRE_SERVER, &serve->link,
                           err);
        if (rc != 0) {
                serve_free(serve);
                return rc;
        }
        *ret_serve = serve;
        return 0;
}

void serve_free(struct serve *serve)
{
        if (serve == NULL)
                return;
        wire_link_free(serve->link);
        free(serve);
}

int serve_fd(const struct serve *serve)
{
        return wire_link_fd(serve->link);
}

short serve_events(const struct serve *serve)
{
        if (serve->phase == PHASE_LISTING)
                return POLLOUT; /* nothing changes while it is listed */
        return (short)(POLLIN | (wire_link_has_output(serve->link) ? POLLOUT : 0));
}

bool serve_is_serving(const struct serve *serve)
{
        return serve->serving;
}

bool serve_is_done(const struct serve *serve)
{
        return serve->done;
}

/* The list ------------------------------------------------------------------------------------- */

static int send_kept(struct serve *serve, const struct kept *kept, struct err *err)
{
        static const uint16_t codes[] = {supervisor_keep1_code, supervisor_keep2_code,
                                         supervisor_keep3_code};
        /* The three differ in their number of descriptors alone. */
        const struct supervisor_keep1 message = {.name = wire_text(kept->name),
                                                 .record = {kept->record, kept->len}};

        return wire_link_send(serve->link, codes[kept->n_fds - 1], 0, 0, &message, kept->fds, err);
}

/* What cannot be told to this TCB is told to the next one. */
static int send_exits(struct serve *serve, struct err *err)
{
        struct serve_keep *keep = serve->keep;
        size_t n = 0;
        int rc = 0;

        while (n < keep->n_exits) {
                rc = wire_link_send(serve->link, supervisor_exited_code, 0, 0, &keep->exits[n],
                                    NULL, err);
                if (rc != 0)
                        break;
                n++;
        }
        keep->n_exits -= n;
        memmove(keep->exits, keep->exits + n, keep->n_exits * sizeof(keep->exits[0]));
        return rc;
}

void serve_exited(struct serve *serve, struct serve_keep *keep, pid_t pid, int status)
{
        struct err ignored = {0};

        if (keep->n_exits == SERVE_EXITS_MAX) {
                keep->n_exits--;
                memmove(keep->exits, keep->exits + 1, keep->n_exits * sizeof(keep->exits[0]));
        }
        keep->exits[keep->n_exits++] =
            (struct supervisor_exited){.pid = (uint32_t)pid, .status = (uint32_t)status};
        if (serve != NULL && serve->phase == PHASE_LISTED)
                (void)!send_exits(serve, &ignored);
}

static int send_deaths(struct serve *serve, struct err *err)
{
        struct serve_keep *keep = serve->keep;
        const struct supervisor_deaths deaths = {
            .n = keep->deaths,
            .last = keep->last_death,
            .why = wire_text_fit(keep->death, sizeof(keep->death) - 1)};

        if (keep->deaths == 0)
                return 0;
        return wire_link_send(serve->link, supervisor_deaths_code, 0, 0, &deaths, NULL, err);
}

static int end_list(struct serve *serve, struct err *err)
{
        struct serve_keep *keep = serve->keep;
        struct supervisor_listed listed = {.starts = keep->starts,
                                           .why = wire_text_fit(keep->why, sizeof(keep->why) - 1)};
        int rc;

        if (keep->key != NULL)
                listed.key = (struct bytes){keep->key->data, keep->key->len};
        serve->phase = PHASE_LISTED;
        rc = send_deaths(serve, err);
        if (rc == 0)
                rc = wire_link_send(serve->link, supervisor_listed_code, 0, 0, &listed,
                                    &keep->program, err);
        return rc != 0 ? rc : send_exits(serve, err);
}

/* As long as the socket takes it: what waits in a queue would hold copies of descriptors. */
static int go_on_listing(struct serve *serve, struct err *err)
{
        int rc = 0;

        while (rc == 0 && serve->phase == PHASE_LISTING && !wire_link_has_output(serve->link)) {
                if (serve->next == NULL) {
                        rc = end_list(serve, err);
                } else {
                        rc = send_kept(serve, serve->next, err);
                        serve->next = keep_next(serve->keep->keep, serve->next);
                }
        }
        return rc;
}

/* The TCB's messages --------------------------------------------------------------------------- */

static int on_list(struct serve *serve, struct wire_frame *frame, struct err *err)
{
        (void)frame;
        if (serve->phase != PHASE_SILENT)
                return err_set(err, ERR_MALFORMED, "a second list");
        serve->phase = PHASE_LISTING;
        serve->next = keep_next(serve->keep->keep, NULL);
        return go_on_listing(serve, err);
}

static int refuse(struct serve *serve, struct bytes name, struct err *err)
{
        const struct supervisor_refused refused = {.name = name};

        return wire_link_send(serve->link, supervisor_refused_code, 0, 0, &refused, NULL, err);
}

static int on_keep(struct serve *serve, struct wire_frame *frame, struct err *err)
{
        struct supervisor_keep1 message; /* all three are alike */
        struct err trouble = {0};
        int rc = wire_frame_decode(frame, &message, sizeof(message), err);

        if (rc != 0)
                return rc;
        rc = keep_put(serve->keep->keep, message.name, message.record, frame->fds,
                      frame->message->n_fds, &trouble);
        if (rc == ERR_LIMIT || rc == ERR_NO_MEMORY) {
                log_warning((&(struct log_fields){.op = "keep", .err = &trouble}), "refused");
                return refuse(serve, message.name, err);
        }
        if (rc != 0)
                *err = trouble;
        return rc;
}

static int on_drop(struct serve *serve, struct wire_frame *frame, struct err *err)
{
        struct supervisor_drop drop;
        int rc = wire_frame_decode(frame, &drop, sizeof(drop), err);

        if (rc == 0)
                keep_drop(serve->keep->keep, drop.name);
        return rc;
}

static int on_key(struct serve *serve, struct wire_frame *frame, struct err *err)
{
        struct supervisor_key key;
        struct secret *copy;
        int rc = wire_frame_decode(frame, &key, sizeof(key), err);

        if (rc == 0)
                rc = secret_new_copy(key.key, sizeof(key.key), &copy, err);
        explicit_bzero(&key, sizeof(key));
        if (rc != 0)
                return rc;
        secret_free(serve->keep->key);
        serve->keep->key = copy;
        return 0;
}

static int on_serving(struct serve *serve, struct wire_frame *frame, struct err *err)
{
        (void)frame;
        (void)err;
        serve->serving = true;
        return 0;
}

static int on_done(struct serve *serve, struct wire_frame *frame, struct err *err)
{
        (void)frame;
        (void)err;
        serve->done = true;
        keep_clear(serve->keep->keep);
        secret_free(TAKE(serve->keep->key));
        return 0;
}

/* One that says so without being asked lives as well. */
static int on_alive(struct serve *serve, struct wire_frame *frame, struct err *err)
{
        (void)frame;
        (void)err;
        serve->asked = false;
        serve->answered = true;
        return 0;
}

static const struct {
        uint16_t code;
        int (*handle)(struct serve *serve, struct wire_frame *frame, struct err *err);
} handlers[] = {
    {supervisor_list_code, on_list},       {supervisor_keep1_code, on_keep},
    {supervisor_keep2_code, on_keep},      {supervisor_keep3_code, on_keep},
    {supervisor_drop_code, on_drop},       {supervisor_key_code, on_key},
    {supervisor_serving_code, on_serving}, {supervisor_done_code, on_done},
    {supervisor_alive_code, on_alive},
};

static int handle(struct serve *serve, struct wire_frame *frame, struct err *err)
{
        if (serve->phase == PHASE_SILENT && frame->message->code != supervisor_list_code)
                return err_set(err, ERR_MALFORMED, "%s before a list", frame->message->name);
        for (size_t i = 0; i < ARRAY_SIZE(handlers); i++)
                if (handlers[i].code == frame->message->code)
                        return handlers[i].handle(serve, frame, err);
        return err_set(err, ERR_MALFORMED, "unexpected %s", frame->message->name);
}

int serve_process(struct serve *serve, struct err *err)
{
        int rc = wire_link_flush(serve->link, err);

        for (int i = 0; rc == 0 && i < FRAMES_A_TURN && serve->phase != PHASE_LISTING; i++) {
                struct wire_frame frame;

                rc = wire_link_receive(serve->link, &frame, err);
                if (rc != 0)
                        break;
                rc = handle(serve, &frame, err);
                wire_frame_close_fds(&frame);
        }
        if (rc >= 0 && go_on_listing(serve, err) != 0)
                return err->code;
        return rc;
}

/* To the TCB ---------------------------------------------------------------------------------- */

int serve_ask_to_leave(struct serve *serve, struct err *err)
{
        const struct supervisor_leave leave = {0};

        return wire_link_send(serve->link, supervisor_leave_code, 0, 0, &leave, NULL, err);
}

int serve_ask(struct serve *serve, struct err *err)
{
        const struct supervisor_ask ask = {0};
        int rc;

        if (serve->asked || serve->phase != PHASE_LISTED)
                return 0;
        rc = wire_link_send(serve->link, supervisor_ask_code, 0, 0, &ask, NULL, err);
        serve->asked = rc == 0;
        return rc;
}

bool serve_take_answer(struct serve *serve)
{
        const bool answered = serve->answered;

        serve->answered = false;
        return answered;
}
