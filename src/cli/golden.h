/*
 * A policy from the evidence of a whole host: the VM's boot by evlog/learn.h, and the host's own
 * software and kind of TPM as its evidence shows them.
 */
#ifndef CLI_GOLDEN_H
#define CLI_GOLDEN_H

#include "evlog/policy.h"
#include "verify/evidence.h"

struct golden_request {
        const char *vm;
        const char *name;     /* of the policy */
        const char *firmware; /* of the firmware profile */
};

/* The policy that this evidence of a boot would pass: its values become the reference. */
int golden_learn(const struct evidence *evidence, const struct golden_request *request,
                 struct policy **ret_policy, struct err *err) MUST_CHECK;

/* Only the host's part, into a policy that there is. */
int golden_add_host(const struct evidence *evidence, struct policy *policy,
                    struct err *err) MUST_CHECK;

#endif
