/*
 * Do the logs add up to the quoted PCRs? By replaying them alone, or with values that somebody read
 * beside the quote. What does not is said; nothing is compared with a policy before.
 */
#include <string.h>

#include "base/hex.h"
#include "evlog/appraise-private.h"

#define PCR_BIT(n) (UINT32_C(1) << (n))

/* PCRs 17 to 22 start with all ones (PC Client Platform TPM Profile, 4.6.2). */
#define PCR_IS_ONES(n) ((n) >= 17 && (n) <= 22)

/* ---- by the logs alone ------------------------------------------------------------------------
 */

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

void appraise_explain(struct appraise_run *run)
{
        if (run->evidence->n_values > 0)
                explain_by_values(run);
        else
                explain_by_logs(run);
}
