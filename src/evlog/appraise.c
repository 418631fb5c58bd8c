#include "evlog/appraise.h"

#include <string.h>

#include "base/hex.h"
#include "evlog/appraise-private.h"
#include "evlog/findings.h"

#define PCR_BIT(n) (UINT32_C(1) << (n))

/* PCRs 17 to 22 start with all ones (PC Client Platform TPM Profile, 4.6.2). */
#define PCR_IS_ONES(n) ((n) >= 17 && (n) <= 22)

const char *appraise_part_name(enum appraise_part part)
{
        static const char *const names[APPRAISE_PART_COUNT] = {
            "firmware", "GRUB", "kernel", "command line", "initrd", "programs",
        };

        return names[part];
}

const char *appraise_state_name(enum appraise_state state)
{
        static const char *const names[] = {"not checked", "not measured", "verified", "changed"};

        return names[state];
}

const char *verdict_tier_name(enum verdict_tier tier)
{
        return tier == VERDICT_AFFIRMING ? "affirming"
               : tier == VERDICT_WARNING ? "warning"
                                         : "contraindicated";
}

const struct pcr_values *appraise_values(const struct appraise_run *run,
                                         const struct hash_alg *bank)
{
        for (size_t i = 0; i < run->n_values; i++)
                if (run->values[i].alg == bank)
                        return &run->values[i];
        return NULL;
}

/* ---- reading the logs ----------------------------------------------------------------------- */

static bool is_our_failure(int rc)
{
        return rc == ERR_NO_MEMORY || rc == ERR_FAILED;
}

static void say_findings(struct appraise_run *run)
{
        struct reasons *reasons = &run->verdict->reasons;
        struct findings *findings = calloc(1, sizeof(*findings));
        struct err err = {0};
        int rc;

        if (findings == NULL) {
                (void)err_set(&err, ERR_NO_MEMORY, "out of memory");
                reasons_add_broken(reasons, "the event log", &err);
                return;
        }
        rc = findings_collect(run->log, findings, &err);
        if (rc != 0)
                reasons_add_broken(reasons, "the event log", &err);
        for (size_t i = 0; rc == 0 && i < findings->count; i++) {
                const struct finding *finding = &findings->list[i];

                if (finding->severity == FINDING_NOTE)
                        continue;
                reasons_add(reasons, finding->id,
                            finding->severity == FINDING_ERROR ? REASON_FAIL : REASON_WARNING,
                            finding->event == FINDING_NO_EVENT ? "%s" : "%s (event %u, PCR %u)",
                            finding->text, finding->event, finding->pcr);
        }
        if (rc == 0 && findings->more && findings->worst == FINDING_ERROR)
                reasons_add(reasons, "log.malformed", REASON_FAIL, "more findings than are shown");
        free(findings);
}

static void read_tcg_log(struct appraise_run *run)
{
        struct reasons *reasons = &run->verdict->reasons;
        struct err err = {0};
        int rc;

        if (run->evidence->tcg_log.len == 0)
                return;
        rc = tcglog_parse(run->evidence->tcg_log, &run->log, &err);
        if (rc == 0)
                rc = replay_run(run->log, &run->replay, &err);
        if (is_our_failure(rc))
                reasons_add_broken(reasons, "the event log", &err);
        else if (rc != 0)
                reasons_add(reasons, "log.malformed", REASON_FAIL, "event log: %s", err.text);
        if (rc == 0) {
                say_findings(run);
                return;
        }
        tcglog_free(run->log);
        run->log = NULL;
}

static void read_ima_log(struct appraise_run *run)
{
        struct reasons *reasons = &run->verdict->reasons;
        struct err err = {0};
        int rc;

        if (run->evidence->ima_log.len == 0)
                return;
        rc = ima_log_parse(run->evidence->ima_log, &run->ima, &err);
        if (is_our_failure(rc))
                reasons_add_broken(reasons, "the IMA log", &err);
        else if (rc != 0)
                reasons_add(reasons, "ima.malformed", REASON_FAIL, "IMA log: %s", err.text);
}

/* ---- explaining the quote ------------------------------------------------------------------- */

/* Values from another log. Where both logs extend a PCR, nobody knows in which order. */
static void put_known(const struct pcr_values *known, const struct replay_bank *bank,
                      struct pcr_values *values)
{
        for (uint32_t pcr = 0; known != NULL && pcr < TPM_PCR_COUNT; pcr++) {
                if (known->alg != values->alg || (known->mask & PCR_BIT(pcr)) == 0)
                        continue;
                memcpy(values->values[pcr], known->values[pcr], known->alg->size);
                if (bank != NULL && (bank->extended & PCR_BIT(pcr)) != 0)
                        values->mask &= ~PCR_BIT(pcr);
        }
}

/* What the log says of one bank; PCRs that it never extends still have their reset value. */
static bool replay_values(const struct appraise_run *run, const struct pcr_select_bank *selected,
                          struct pcr_values *values)
{
        const struct hash_alg *alg = hash_by_tpm_id(selected->hash);
        const struct replay_bank *bank;

        if (alg == NULL)
                return false;
        *values = (struct pcr_values){.alg = alg, .mask = selected->mask};
        bank = replay_find_bank(&run->replay, alg);
        for (uint32_t pcr = 0; pcr < TPM_PCR_COUNT; pcr++) {
                memset(values->values[pcr], PCR_IS_ONES(pcr) ? 0xff : 0, alg->size);
                if (bank == NULL || (bank->extended & PCR_BIT(pcr)) == 0)
                        continue;
                if ((bank->incomplete & PCR_BIT(pcr)) != 0) {
                        values->mask &= ~PCR_BIT(pcr); /* nobody can know this one */
                        continue;
                }
                memcpy(values->values[pcr], bank->pcrs[pcr], alg->size);
        }
        put_known(run->evidence->known, bank, values);
        return true;
}

static void build_values(struct appraise_run *run)
{
        const struct pcr_select *select = &run->quote.attest.quote.select;

        run->n_values = 0;
        for (uint32_t i = 0; i < select->count; i++)
                if (replay_values(run, &select->banks[i], &run->values[run->n_values]))
                        run->n_values++;
}

/* 1: these values are quoted; 0: not; negative: could not be computed. */
static int is_quoted(const struct appraise_run *run, struct err *err)
{
        uint8_t digest[HASH_SIZE_MAX];
        int rc = quote_pcr_digest(&run->quote.attest.quote.select, run->quote.digest_alg,
                                  run->values, run->n_values, digest, err);

        if (rc == ERR_NOT_FOUND)
                return 0;
        if (rc != 0)
                return rc;
        return bytes_equal((struct bytes){digest, run->quote.digest_alg->size},
                           run->quote.attest.quote.digest)
                   ? 1
                   : 0;
}

/* Extends the values' PCR 10 by one entry in every bank. */
static int extend_entry(struct appraise_run *run, const struct ima_entry *entry, struct err *err)
{
        if (entry->pcr != IMA_PCR)
                return 0;
        for (size_t i = 0; i < run->n_values; i++) {
                struct pcr_values *values = &run->values[i];
                uint8_t digest[HASH_SIZE_MAX];
                int rc = ima_entry_digest(entry, values->alg, digest, err);

                if (rc == 0)
                        rc = hash_extend(values->alg, values->values[IMA_PCR], digest, err);
                if (rc != 0)
                        return rc;
        }
        return 0;
}

/*
 * Goes through the IMA log until the values are those quoted: entries that were made while the
 * quote was on its way follow it (I-TAIL) and stay unverified.
 */
static int search_ima(struct appraise_run *run, struct err *err)
{
        size_t count = run->ima == NULL ? 0 : run->ima->count;
        int found = is_quoted(run, err);

        for (size_t i = 0; found == 0 && i < count; i++) {
                int rc = extend_entry(run, &run->ima->entries[i], err);

                if (rc != 0)
                        return rc;
                run->ima_verified = i + 1;
                if (run->ima->entries[i].pcr == IMA_PCR)
                        found = is_quoted(run, err);
        }
        return found;
}

static void say_replay(struct appraise_run *run)
{
        struct reasons *reasons = &run->verdict->reasons;

        reasons_add(reasons, "log.replay", REASON_FAIL,
                    "the logs do not add up to what the TPM quoted");
        if (run->ima != NULL)
                reasons_add(reasons, "ima.replay", REASON_FAIL,
                            "no part of the IMA log gives, with the event log, what was quoted");
        else if (run->evidence->ima_log.len == 0)
                reasons_add(reasons, "ima.missing", REASON_WARNING,
                            "no IMA log was shown that could explain PCR 10");
}

static void explain_by_logs(struct appraise_run *run)
{
        struct reasons *reasons = &run->verdict->reasons;
        struct err err = {0};
        int found;

        if (run->log == NULL && run->ima == NULL && run->evidence->known == NULL) {
                if (run->evidence->tcg_log.len == 0)
                        reasons_add(reasons, "log.missing", REASON_FAIL,
                                    "neither PCR values nor logs were shown");
                return;
        }
        build_values(run);
        found = search_ima(run, &err);
        if (found < 0)
                reasons_add_broken(reasons, "the replay", &err);
        else if (found == 0)
                say_replay(run);
        run->is_explained = found == 1;
}

/* ---- with PCR values that somebody read ----------------------------------------------------- */

static void compare_value(struct appraise_run *run, const struct pcr_values *given,
                          const struct pcr_values *replayed, uint32_t pcr, bool *equal)
{
        char have[2 * HASH_SIZE_MAX + 1];
        char want[2 * HASH_SIZE_MAX + 1];

        if ((replayed->mask & PCR_BIT(pcr)) != 0 &&
            memcmp(given->values[pcr], replayed->values[pcr], given->alg->size) == 0)
                return;
        *equal = false;
        reasons_add(&run->verdict->reasons, "log.replay", REASON_FAIL,
                    "%s PCR %u is %s, the log gives %s", given->alg->name, pcr,
                    hex_encode(given->values[pcr], given->alg->size, have),
                    hex_encode(replayed->values[pcr], given->alg->size, want));
}

static bool compare_log(struct appraise_run *run, const struct pcr_values *given,
                        const struct pcr_values *replayed)
{
        bool equal = true;

        for (uint32_t pcr = 0; run->log != NULL && pcr < TPM_PCR_COUNT; pcr++)
                if ((given->mask & PCR_BIT(pcr)) != 0 && pcr != IMA_PCR)
                        compare_value(run, given, replayed, pcr, &equal);
        return equal;
}

static bool compare_ima(struct appraise_run *run, const struct pcr_values *given)
{
        struct ima_replay replay;
        struct err err = {0};
        int rc;

        if (run->ima == NULL || (given->mask & PCR_BIT(IMA_PCR)) == 0)
                return true;
        ima_replay_init(&replay, given->alg, IMA_PCR);
        rc = ima_replay_find(&replay, run->ima, given->values[IMA_PCR], &err);
        if (rc == 0)
                run->ima_verified = replay.next;
        else if (rc == ERR_NOT_TRUSTED)
                reasons_add(&run->verdict->reasons, "ima.replay", REASON_FAIL,
                            "no part of the IMA log gives the quoted %s PCR 10", given->alg->name);
        else
                reasons_add_broken(&run->verdict->reasons, "the IMA replay", &err);
        return rc == 0;
}

static void explain_by_values(struct appraise_run *run)
{
        const struct appraise_evidence *evidence = run->evidence;
        bool equal = true;

        build_values(run);
        for (size_t i = 0; i < run->n_values; i++) {
                struct pcr_values *replayed = &run->values[i];

                for (size_t g = 0; g < evidence->n_values; g++) {
                        const struct pcr_values *given = &evidence->values[g];

                        if (given->alg != replayed->alg)
                                continue;
                        equal &= compare_log(run, given, replayed);
                        equal &= compare_ima(run, given);
                        *replayed = *given;
                }
        }
        run->is_explained = equal && reasons_find(&run->verdict->reasons, "quote.digest") == NULL &&
                            reasons_find(&run->verdict->reasons, "quote.selection") == NULL;
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* PCRs of the firmware and the operating system that the log tells of and the quote leaves out. */
static void check_covered(struct appraise_run *run)
{
        const struct pcr_select *select = &run->quote.attest.quote.select;

        for (uint32_t i = 0; i < select->count; i++) {
                const struct hash_alg *alg = hash_by_tpm_id(select->banks[i].hash);
                const struct replay_bank *bank =
                    alg == NULL ? NULL : replay_find_bank(&run->replay, alg);
                uint32_t uncovered = bank == NULL || select->banks[i].mask == 0
                                         ? 0
                                         : bank->extended & ~select->banks[i].mask;

                for (uint32_t pcr = 0; pcr < TPM_PCR_COUNT; pcr++)
                        if ((uncovered & PCR_BIT(pcr)) != 0)
                                reasons_add(&run->verdict->reasons, "quote.selection",
                                            pcr <= IMA_PCR ? REASON_FAIL : REASON_NOTE,
                                            "the log tells of %s PCR %u, which is not quoted",
                                            alg->name, pcr);
        }
        if (run->ima != NULL && run->ima->count > 0) {
                uint32_t any = 0;

                for (uint32_t i = 0; i < select->count; i++)
                        any |= select->banks[i].mask;
                if ((any & PCR_BIT(IMA_PCR)) == 0)
                        reasons_add(&run->verdict->reasons, "quote.selection", REASON_FAIL,
                                    "an IMA log is shown and PCR 10 is not quoted");
        }
}

/* I-BOOTAGG: the first entry against the quoted PCRs, never against what the list says itself. */
static int check_boot_aggregate(struct appraise_run *run, struct err *err)
{
        const struct ima_entry *first = ima_log_boot_aggregate(run->ima);
        static const size_t counts[] = {8, 10};

        if (first == NULL) {
                reasons_add(&run->verdict->reasons, "ima.boot-aggregate", REASON_FAIL,
                            "the IMA log does not begin with a boot_aggregate");
                return 0;
        }
        for (size_t i = 0; i < run->n_values; i++) {
                const struct pcr_values *values = &run->values[i];
                const uint8_t *pcrs[10];

                for (size_t pcr = 0; pcr < ARRAY_SIZE(pcrs); pcr++)
                        pcrs[pcr] = values->values[pcr];
                for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
                        uint8_t digest[HASH_SIZE_MAX];
                        int rc = ima_boot_aggregate(values->alg, pcrs, counts[c], digest, err);

                        if (rc != 0)
                                return rc;
                        if ((values->mask & (PCR_BIT(counts[c]) - 1)) == PCR_BIT(counts[c]) - 1 &&
                            bytes_equal((struct bytes){digest, values->alg->size}, first->hash))
                                return 0;
                }
        }
        reasons_add(&run->verdict->reasons, "ima.boot-aggregate", REASON_FAIL,
                    "boot_aggregate is not over the quoted PCRs: the IMA log is of another boot");
        return 0;
}

static void check_ima_entries(struct appraise_run *run)
{
        struct reasons *reasons = &run->verdict->reasons;
        struct err err = {0};
        int rc = 0;

        for (size_t i = 0; rc == 0 && i < run->ima_verified; i++) {
                bool verified = false;

                rc = ima_entry_verify(run->ima, &run->ima->entries[i], &verified, &err);
                if (rc == 0 && !verified)
                        reasons_add(reasons, "ima.template", REASON_FAIL,
                                    "entry %zu carries a digest that is not of its fields", i);
        }
        if (rc == 0 && run->ima_verified < run->ima->count)
                reasons_add(reasons, "ima.tail", REASON_WARNING,
                            "%zu entries of the IMA log are newer than the quote: not verified",
                            run->ima->count - run->ima_verified);
        if (rc == 0 && run->ima_verified > 0)
                rc = check_boot_aggregate(run, &err);
        if (rc != 0)
                reasons_add_broken(reasons, "the IMA log", &err);
}

static const struct tpm_name *parent_name(struct appraise_run *run, struct tpm_name *memory)
{
        struct reasons *reasons = &run->verdict->reasons;
        struct tpm_public ek;
        struct err err = {0};

        if (run->evidence->ek.len == 0)
                return NULL;
        if (tpm_public_parse(run->evidence->ek, &ek, &err) == 0 &&
            quote_endorsement_name(&ek, memory, &err) == 0)
                return memory;
        reasons_add(reasons, "key.malformed", REASON_FAIL, "EK: %s", err.text);
        return NULL;
}

/* What another log explains counts only where it is quoted. */
static void require_known(struct appraise_run *run, struct quote_request *request)
{
        const struct pcr_values *known = run->evidence->known;

        if (known == NULL)
                return;
        if (run->policy != NULL && run->policy->bank != known->alg)
                reasons_add(&run->verdict->reasons, "quote.selection", REASON_FAIL,
                            "the policy is for the %s bank, the other log is in %s",
                            run->policy->bank->name, known->alg->name);
        request->bank = known->alg;
        request->required |= known->mask | POLICY_REQUIRED_MASK;
}

static void check_the_quote(struct appraise_run *run)
{
        const struct appraise_evidence *evidence = run->evidence;
        const struct policy *policy = run->policy;
        struct tpm_name parent;
        struct quote_request request = {
            .attest = evidence->attest,
            .signature = evidence->signature,
            .key = evidence->quote_key,
            .nonce = evidence->nonce,
            .values = evidence->values,
            .n_values = evidence->n_values,
            .previous = evidence->previous,
        };

        if (request.key == NULL) {
                run->own_key = quote_key_new(evidence->key, &run->verdict->reasons);
                request.key = run->own_key;
        }
        request.parent_name = parent_name(run, &parent);
        if (policy != NULL) {
                request.bank = policy->bank;
                request.required = policy->required;
                request.require_safe_clock = policy->require_safe_clock;
        }
        require_known(run, &request);
        quote_check(&request, &run->verdict->reasons, &run->quote);
        if (run->quote.is_signed)
                run->verdict->clock = run->quote.attest.clock;
}

void appraise_run_init(struct appraise_run *run, const struct appraise_evidence *evidence,
                       const struct policy *policy, struct verdict *verdict)
{
        *verdict = (struct verdict){.tier = VERDICT_CONTRAINDICATED};
        *run = (struct appraise_run){.evidence = evidence, .policy = policy, .verdict = verdict};
        check_the_quote(run);
        read_tcg_log(run);
        read_ima_log(run);
        if (!run->quote.is_quote || run->quote.digest_alg == NULL)
                return;
        check_covered(run);
        if (evidence->n_values > 0)
                explain_by_values(run);
        else
                explain_by_logs(run);
        if (run->is_explained && run->ima != NULL)
                check_ima_entries(run);
}

void appraise_run_done(struct appraise_run *run)
{
        struct verdict *verdict = run->verdict;

        verdict->tier = reasons_failed(&verdict->reasons)          ? VERDICT_CONTRAINDICATED
                        : verdict->reasons.worst == REASON_WARNING ? VERDICT_WARNING
                                                                   : VERDICT_AFFIRMING;
        quote_key_free(run->own_key);
        tcglog_free(run->log);
        ima_log_free(run->ima);
}

void appraise_quote(const struct appraise_evidence *evidence, struct verdict *ret_verdict)
{
        struct appraise_run run;

        appraise_run_init(&run, evidence, NULL, ret_verdict);
        appraise_run_done(&run);
}

void appraise(const struct appraise_evidence *evidence, const struct policy *policy,
              struct verdict *ret_verdict)
{
        struct appraise_run run;

        appraise_run_init(&run, evidence, policy, ret_verdict);
        if (policy == NULL || policy_is_empty(policy))
                reasons_add(&ret_verdict->reasons, "policy.empty", REASON_FAIL,
                            "there is nothing to compare the machine with");
        else if (run.log == NULL && evidence->tcg_log.len == 0)
                reasons_add(&ret_verdict->reasons, "log.missing", REASON_FAIL,
                            "no event log was shown: nothing tells what was booted");
        else if (run.is_explained && run.quote.is_signed) {
                appraise_boot(&run);
                appraise_programs(&run);
        }
        appraise_run_done(&run);
}
