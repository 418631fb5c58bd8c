/*
 * What the agent answers: identity, credential activation, quote with logs, from the guest's TPM.
 */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <stdbool.h>

#include "agent/serve.h"
#include "tpm/key.h"

/* Where the kernel shows its logs; other places in tests. */
struct agent_paths {
        const char *tcg_log;
        const char *ima_log;
        const char *cmdline;
};
extern const struct agent_paths agent_kernel_paths;

struct agent {
        struct tpm *tpm; /* the caller's */
        const struct agent_paths *paths;
        struct tpm_key *ek;
        struct tpm_key *ak;
};

/*
 * Creates EK and AK: the AK is new with every start and never leaves the TPM, so a verifier's
 * enrolment of it is good for this boot. agent_done() the result.
 */
int agent_init(struct agent *ret_agent, struct tpm *tpm, const struct agent_paths *paths,
               struct err *err) MUST_CHECK;
void agent_done(struct agent *agent);
#define AUTO_AGENT CLEANUP(agent_done)

/* The act of a struct serve_actor; user is the struct agent. */
int agent_act(void *user, const struct request *request, struct answer *answer,
              struct err *err) MUST_CHECK;

#endif
