/* The host's quote, what explains it, and the comparison of the host's software with the policy. */
#include <stdlib.h>
#include <string.h>

#include "verify/verify-private.h"

#define PCR_BIT(n) (UINT32_C(1) << (n))

/*
 * The tree that the host must have quoted: that of a leaf which answers this challenge. Where
 * several leaves disagree, the one that the quote agrees with.
 */
static const uint8_t *expected_tree(struct verify_run *run)
{
        const uint8_t *any = NULL;
        bool is_quoted = false;

        for (size_t i = 0; i < run->n_leaves; i++) {
                const struct verify_leaf *leaf = &run->leaves[i];

                if (!leaf->has_tree)
                        continue;
                if (any == NULL)
                        any = leaf->tree;
                if (!bytes_equal(run->host_extra, (struct bytes){leaf->tree, QUALIFY_SIZE}))
                        continue;
                if (verify_leaf_is_fresh(run, leaf))
                        return leaf->tree;
                is_quoted = true;
        }
        if (is_quoted)
                reasons_add(&run->result->host->reasons, "bind.nonce", REASON_FAIL,
                            "the host's quote covers no leaf that answers this challenge");
        else
                reasons_add(&run->result->host->reasons, "bind.tree", REASON_FAIL,
                            "the host's quote covers none of the leaves that were shown");
        return any;
}

static void read_log(struct verify_run *run, struct reasons *reasons)
{
        struct bytes bytes;
        struct err err = {0};

        if (!evidence_get(run->request->evidence, "host/catena_log", &bytes))
                reasons_add(reasons, "policy.host", REASON_FAIL,
                            "the host's software was not measured: there is no log of it");
        else if (host_log_read(bytes, &run->host_log, &err) != 0)
                reasons_add(reasons, "log.malformed", REASON_FAIL, "host/catena_log: %s", err.text);
}

/*
 * What the host says of itself is covered by no quote; what it measured is. Where the two differ,
 * or nothing was measured, the words are worth nothing.
 */
static void check_about(const struct verify_run *run, struct reasons *reasons)
{
        struct verify_result *result = run->result;
        const struct hostlog_ptpm *ptpm = &run->host_log.ptpm;

        if (run->host_log.n == 0)
                return; /* said already: there is no log */
        result->supervised = host_log_has(&run->host_log, "catena-supervisor");
        if (ptpm->kind[0] == '\0')
                reasons_add(reasons, "bind.about", REASON_FAIL,
                            "the host did not measure which TPM it has");
        else if (strcmp(ptpm->kind, result->ptpm) != 0)
                reasons_add(reasons, "bind.about", REASON_FAIL,
                            "the host says that its TPM is \"%s\" and measured \"%s\"",
                            result->ptpm, ptpm->kind);
        else if (strcmp(ptpm->by, result->measured_by) != 0)
                reasons_add(reasons, "bind.about", REASON_FAIL,
                            "the host says that \"%s\" measured it, and its log \"%s\"",
                            result->measured_by, ptpm->by);
        if (!host_log_has_version(&run->host_log, "catena-tcb", result->tcb_version))
                reasons_add(reasons, "bind.about", REASON_FAIL,
                            "the host says that its TCB is \"%s\" and measured another",
                            result->tcb_version);
}

/* The host's own logs; absent ones have len 0. */
static void find_boot_logs(const struct verify_run *run, struct appraise_evidence *evidence)
{
        (void)verify_find(run, "host", "ek.pub", &evidence->ek);
        (void)verify_find(run, "host", "binary_bios_measurements", &evidence->tcg_log);
        (void)verify_find(run, "host", "binary_runtime_measurements", &evidence->ima_log);
}

/*
 * The quote covers PCR 0 to 10 and 13: firmware's log, IMA's log and that of the host's software
 * have to explain it together. A software pTPM measures nothing of the boot: without logs its
 * PCRs 0 to 10 must be zero, and the verdict says "not measured".
 */
static int check_quote(struct verify_run *run, struct bytes attest, struct bytes signature,
                       struct err *err)
{
        const struct policy *policy = run->request->policy;
        const uint8_t *tree = expected_tree(run);
        struct pcr_values known = {.alg = hash_by_tpm_id(HASH_TPM_SHA256),
                                   .mask = PCR_BIT(HOSTLOG_PCR)};
        struct appraise_evidence evidence = {
            .quote_key = run->ak, .attest = attest, .signature = signature, .known = &known};
        struct verdict AUTO_FREE *verdict = calloc(1, sizeof(*verdict));

        if (verdict == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        memcpy(known.values[HOSTLOG_PCR], run->host_log.pcr, sizeof(run->host_log.pcr));
        if (tree != NULL)
                evidence.nonce = (struct bytes){tree, QUALIFY_SIZE};
        find_boot_logs(run, &evidence);
        run->has_boot_log = evidence.tcg_log.len != 0;
        if (policy != NULL && policy->host_boot != NULL)
                appraise(&evidence, policy->host_boot, verdict);
        else
                appraise_quote(&evidence, verdict);
        verify_take_verdict(run->result->host, verdict);
        return 0;
}

/* What of the boot was measured but not compared is said, and is never a tick. */
static void mark_boot(const struct verify_run *run, struct verify_machine *host)
{
        const struct policy *policy = run->request->policy;

        host->parts[VERIFY_PROGRAMS] = VERIFY_NOT_CHECKED;
        host->programs = 0;
        if (run->has_boot_log) {
                if (policy == NULL || policy->host_boot == NULL)
                        reasons_add(&host->reasons, "host.not-compared", REASON_WARNING,
                                    "firmware, GRUB and kernel of the host were measured, but the "
                                    "policy has no host_boot to compare them with");
                return;
        }
        for (unsigned i = 0; i < VERIFY_PROGRAMS; i++)
                host->parts[i] = VERIFY_NOT_MEASURED;
        if (policy_ptpm_from_name(run->result->ptpm) == POLICY_PTPM_HARDWARE)
                reasons_add(&host->reasons, "log.missing", REASON_FAIL,
                            "a host with a hardware TPM has to show its firmware's log");
        else
                reasons_add(&host->reasons, "host.not-measured", REASON_WARNING,
                            "firmware, GRUB and kernel of the host were not measured");
}

/* Every digest of a component that ran since the TPM was reset must be known. */
static bool components_are_known(const struct verify_run *run, struct reasons *reasons,
                                 const struct policy_entry *entry)
{
        size_t seen = 0;
        bool known = true;

        for (size_t i = 0; i < run->host_log.n; i++) {
                const struct hostlog_component *component = &run->host_log.components[i];
                struct policy_digest digest = {.alg = hash_by_tpm_id(HASH_TPM_SHA256)};

                if (strcmp(component->name, entry->name) != 0)
                        continue;
                seen++;
                memcpy(digest.data, component->digest, sizeof(component->digest));
                if (policy_entry_has(entry, &digest))
                        continue;
                known = false;
                reasons_add(reasons, "policy.host", REASON_FAIL, "%s %s is not one of the policy's",
                            component->name, component->version);
        }
        if (seen == 0)
                reasons_add(reasons, "policy.host", REASON_FAIL, "%s was not measured",
                            entry->name);
        return known && seen != 0;
}

static void compare_software(const struct verify_run *run, struct verify_machine *host)
{
        const struct policy *policy = run->request->policy;
        size_t n = policy == NULL ? 0 : policy->host.count;
        bool all_known;

        if (run->host_log.n == 0)
                return; /* said already: nothing was measured */
        if (n == 0) {
                reasons_add(&host->reasons, "host.not-compared", REASON_WARNING,
                            "the host's software was measured, but the policy names none");
                return;
        }
        for (size_t i = 0; i < n; i++)
                host->programs +=
                    components_are_known(run, &host->reasons, &policy->host.entries[i]);
        all_known = host->programs == n;
        for (size_t i = 0; i < run->host_log.n; i++)
                if (policy_map_find(&policy->host, run->host_log.components[i].name) == NULL) {
                        all_known = false;
                        reasons_add(&host->reasons, "policy.host", REASON_FAIL,
                                    "%s is not in the policy", run->host_log.components[i].name);
                }
        host->parts[VERIFY_PROGRAMS] = all_known ? VERIFY_OK : VERIFY_BAD;
}

/* Nothing to compare with accepts nothing, also where only the host was asked. */
static void check_policy(const struct verify_run *run, struct verify_machine *host)
{
        const struct policy *policy = run->request->policy;

        if (policy == NULL || policy_is_empty(policy))
                reasons_add(&host->reasons, "policy.empty", REASON_FAIL,
                            "there is nothing to compare the host with");
}

static void compare_ptpm(const struct verify_run *run, struct verify_machine *host)
{
        const struct policy *policy = run->request->policy;
        const char *ptpm = run->result->ptpm;
        unsigned kind = policy_ptpm_from_name(ptpm);

        if (kind == 0 || (policy != NULL && policy->ptpm != 0 && (policy->ptpm & kind) == 0))
                reasons_add(&host->reasons, "policy.ptpm", REASON_FAIL,
                            "the policy allows no TPM of kind \"%s\"", ptpm);
        else if (kind != POLICY_PTPM_HARDWARE)
                reasons_add(&host->reasons, "host.evaluation", REASON_WARNING,
                            "evaluation platform: its TPM is software (%s), which whoever has "
                            "root on the host can read and rewrite",
                            ptpm);
        else if (!run->result->ek_certified)
                reasons_add(&host->reasons, "host.evaluation", REASON_WARNING,
                            "that its TPM is hardware is the TPM's own word: it was enrolled "
                            "without a manufacturer's certificate of its EK");
        if (strcmp(run->result->measured_by, "tcb") == 0)
                reasons_add(&host->reasons, "host.not-measured", REASON_WARNING,
                            run->result->supervised
                                ? "the TCB measured itself and the supervisor that started it: the "
                                  "log shows what they say they are"
                                : "the TCB measured itself: the log shows what it says it is");
}

void verify_host_judge(struct verify_run *run)
{
        struct verify_machine *host = run->result->host;
        struct bytes attest, signature;
        struct err err = {0};

        read_log(run, &host->reasons);
        if (verify_get(run, host, "host", "quote.attest", &attest) &&
            verify_get(run, host, "host", "quote.sig", &signature) &&
            check_quote(run, attest, signature, &err) != 0)
                reasons_add_broken(&host->reasons, "the host's quote", &err);
        check_about(run, &host->reasons);
        mark_boot(run, host);
        /* Software counts only where a quote that holds tells of it. */
        if (!reasons_failed(&host->reasons))
                compare_software(run, host);
        check_policy(run, host);
        compare_ptpm(run, host);
}
