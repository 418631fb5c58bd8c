/*
 * One session with the host: requests of wire/agent.def come in, each is decoded, acted on by the
 * caller's function and answered. The host is not trusted more than its frames are well formed.
 */
#ifndef AGENT_SERVE_H
#define AGENT_SERVE_H

#include <stdbool.h>

#include "base/secret.h"
#include "tpm/quote.h"
#include "wire/agent.h"
#include "wire/link.h"

#define SERVE_LOGS 3

struct request {
        uint16_t code; /* which member of as is filled; views point into the frame */
        union {
                struct agent_identify identify;
                struct agent_activate activate;
                struct agent_quote quote;
                struct agent_poweroff poweroff;
        } as;
};

/* What goes back, and what the views in it point into; all of it is released after sending. */
struct answer {
        uint16_t code; /* 0: nothing is sent */
        bool stop;     /* the session is over after this */
        union {
                struct agent_identity identity;
                struct agent_activated activated;
                struct agent_evidence evidence;
                struct agent_error error;
        } as;
        struct tpm_quote quote;
        struct secret *credential;
        uint8_t *logs[SERVE_LOGS];
};

struct serve_actor {
        /* Fills the answer; an error is told to the host by its public code and text only. */
        int (*act)(void *user, const struct request *request, struct answer *answer,
                   struct err *err);
        void *user;
};

/*
 * Serves the host on fd, which is taken over and closed, until it goes away. First waits, in a
 * blocking write of the hello, until the host is there. Returns 0 when an answer said stop,
 * ERR_UNREACHABLE when the host went away, another error when it broke the protocol.
 */
int serve_host(int fd, const struct serve_actor *actor, struct err *err) MUST_CHECK;

#endif
