/*
 * A policy from one golden boot: everything that its quoted logs tell becomes a reference value.
 */
#ifndef EVLOG_LEARN_H
#define EVLOG_LEARN_H

#include "evlog/appraise.h"

/*
 * Learns from evidence whose quote and logs hold; the policy then accepts exactly this boot.
 * firmware is the name of the firmware profile. What could not be trusted under any policy is not
 * learned: ERR_NOT_TRUSTED, with the first reason in words (a boot that did not measure its
 * kernel, logs that do not add up). ret_verdict is that of the new policy, or says what was wrong;
 * it is always written.
 */
int learn_policy(const struct appraise_evidence *evidence, const char *name, const char *firmware,
                 const struct hash_alg *bank, struct policy **ret_policy,
                 struct verdict *ret_verdict, struct err *err) MUST_CHECK;

#endif
