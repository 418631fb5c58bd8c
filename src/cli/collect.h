/*
 * Challenges from the command line: a fresh nonce, the host's answer as a set of evidence.
 */
#ifndef CLI_COLLECT_H
#define CLI_COLLECT_H

#include "cli/client.h"
#include "verify/challenge.h"
#include "verify/evidence.h"

struct collect_request {
        enum tcb_scope scope;
        const char *vm;       /* TCB_SCOPE_VM only */
        const char *host;     /* the host that has to answer, or NULL: whoever does */
        const uint8_t *nonce; /* 32 bytes, or NULL: a fresh one */
};

/*
 * Asks the host and adds challenge.json, which says what was asked: the VMs are those that the
 * host lists, not those that it chose to answer for. ret_nonce has 32 bytes.
 */
int collect_evidence(struct client *client, const struct collect_request *request,
                     struct evidence **ret_evidence, uint8_t *ret_nonce,
                     struct err *err) MUST_CHECK;

#endif
