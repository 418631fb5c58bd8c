/*
 * The TCB's end of the channel to the agent in one guest. What comes in is a guest's word.
 */
#ifndef TCB_AGENT_LINK_H
#define TCB_AGENT_LINK_H

#include <systemd/sd-event.h>

#include "wire/agent.h"
#include "wire/event.h"

#define AGENT_TIMEOUT_SEC 60 /* a guest under TCG takes seconds for a quote */

struct agent_link;

struct agent_link_ops {
        /* An agent answers; again when another one does, after a reset of the guest for example. */
        void (*hello)(void *user, const char *version);
        /* It does not any more. ERR_UNREACHABLE from QEMU's end of the channel is final. */
        void (*closed)(void *user, const struct err *err);
};

/* Takes fd. */
int agent_link_new(sd_event *event, int fd, const struct agent_link_ops *ops, void *user,
                   struct agent_link **ret_link, struct err *err) MUST_CHECK;

/*
 * The same on a channel that a TCB before us spoke on. An agent that is there says so again; it is
 * not known which.
 */
int agent_link_adopt(sd_event *event, int fd, const struct agent_link_ops *ops, void *user,
                     struct agent_link **ret_link, struct err *err) MUST_CHECK;

/* Our end of the channel; it stays the link's. */
int agent_link_fd(const struct agent_link *link);

/* A question under way is answered with an error. NULL is allowed. */
void agent_link_free(struct agent_link *link);

/*
 * The machine was reset: questions are answered with an error, what is left in the channel is
 * dropped, and a new agent's hello is expected. closed() is called, hello() when it comes.
 */
void agent_link_reset(struct agent_link *link);

/* An agent has said hello and nothing came in between. NULL: no. */
bool agent_link_is_up(const struct agent_link *link);

/* frame is NULL when the agent refused, answered something else, went away or took too long. */
typedef void agent_reply_fn(void *user, const struct wire_frame *frame, const struct err *err);

/* Asks; only an answer with the code expected is passed on as one. Questions wait for
 * their turn. */
struct agent_question {
        uint16_t code;
        const void *message;
        uint16_t expected;
        agent_reply_fn *reply; /* NULL: there is no answer, as to agent_poweroff */
        void *user;
};
int agent_link_ask(struct agent_link *link, const struct agent_question *question,
                   struct err *err) MUST_CHECK;

#endif
