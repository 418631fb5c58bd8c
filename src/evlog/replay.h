/*
 * What the PCRs must hold if exactly the events of a log happened, in every bank of the log
 * (PFP 1.06, 10.3). A bank or PCR that the log never extends is absent, never zero: firmware that
 * leaves a bank unextended (CVE-2021-42299) must not look as if it had measured into it.
 */
#ifndef EVLOG_REPLAY_H
#define EVLOG_REPLAY_H

#include "evlog/tcglog.h"

struct replay_bank {
        const struct hash_alg *alg;
        uint32_t extended;   /* bit n: PCR n was extended */
        uint32_t incomplete; /* bit n: an event for PCR n has no digest of this bank */
        uint8_t pcrs[TCGLOG_PCR_COUNT][HASH_SIZE_MAX];
};

struct replay {
        size_t count;
        struct replay_bank banks[TCGLOG_BANKS_MAX]; /* only known hashes that were extended */
};

/* Replays all events in all banks whose hash we know. Errors: ERR_FAILED. */
int replay_run(const struct tcglog *log, struct replay *ret_replay, struct err *err) MUST_CHECK;

/* The same in one bank. ERR_NOT_FOUND where the log has no such bank or never extends it. */
int replay_run_bank(const struct tcglog *log, const struct hash_alg *alg,
                    struct replay_bank *ret_bank, struct err *err) MUST_CHECK;

/* A bank of a replay, or NULL where the log does not extend it. */
const struct replay_bank *replay_find_bank(const struct replay *replay, const struct hash_alg *alg);

/* The final value (alg->size bytes), or NULL: never extended, or an event lacks this bank. */
const uint8_t *replay_bank_pcr(const struct replay_bank *bank, uint32_t pcr);
const uint8_t *replay_pcr(const struct replay *replay, const struct hash_alg *alg, uint32_t pcr);

#endif
