/*
 * Between the files of the appraisal and of learning: evidence that was parsed and explained.
 */
#ifndef EVLOG_APPRAISE_PRIVATE_H
#define EVLOG_APPRAISE_PRIVATE_H

#include "evlog/appraise.h"
#include "evlog/event-verify.h"
#include "evlog/ima.h"
#include "evlog/replay.h"

struct appraise_run {
        const struct appraise_evidence *evidence;
        const struct policy *policy; /* NULL: none */
        struct verdict *verdict;
        struct quote_key *own_key; /* decoded here; NULL where the caller brought one */
        struct quote_result quote;
        struct tcglog *log;   /* NULL: absent or malformed */
        struct replay replay; /* of log */
        struct ima_log *ima;  /* NULL: absent or malformed */
        size_t ima_verified;  /* entries before this one are covered by the quote */
        bool is_explained;    /* values are quoted, and log and ima add up to them */
        struct pcr_values values[PCR_SELECT_BANKS_MAX]; /* all selected PCRs of known banks */
        size_t n_values;
};

/* Checks and explains; policy may be NULL. Always followed by appraise_run_done(). */
void appraise_run_init(struct appraise_run *run, const struct appraise_evidence *evidence,
                       const struct policy *policy, struct verdict *verdict);
void appraise_run_done(struct appraise_run *run);

/*
 * Sets values, is_explained and ima_verified from a good quote and the logs, or says why they do
 * not add up (appraise-explain.c).
 */
void appraise_explain(struct appraise_run *run);

/* Compares what was explained with run->policy (appraise-policy.c, appraise-ima.c). */
void appraise_boot(struct appraise_run *run);
void appraise_programs(struct appraise_run *run);

/* The quoted values of a bank, or NULL. */
const struct pcr_values *appraise_values(const struct appraise_run *run,
                                         const struct hash_alg *bank);

/*
 * What a boot event tells: a command of GRUB, a command line, a file or tag with its name. The
 * text is NUL-terminated in ret_text; false where the event is nothing of the kind or its words
 * are not measured though they should be.
 */
enum appraise_word { APPRAISE_COMMAND, APPRAISE_CMDLINE, APPRAISE_FILE };
bool appraise_event_word(const struct tcglog *log, const struct tcglog_event *event,
                         enum appraise_word *ret_word, char ret_text[POLICY_TEXT_MAX]);

#endif
