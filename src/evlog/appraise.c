#include "evlog/appraise.h"

#include <string.h>

#include "evlog/appraise-private.h"
#include "evlog/findings.h"

#define PCR_BIT(n) (UINT32_C(1) << (n))

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
        /* Its first record, which nothing measures, chooses what the others are held to. */
        if (rc == 0 && run->log->format == TCGLOG_CCEL)
                rc = err_set(&err, ERR_MALFORMED,
                             "it is of a confidential VM's registers (CCEL), not of a TPM");
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
        appraise_explain(run);
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
