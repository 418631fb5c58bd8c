/* The host's quote, what explains it, and the comparison of the host's software with the policy. */
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
 * A software pTPM measures nothing of the boot: its PCRs 0 to 10 are zero, and the verdict says
 * "not measured". A host with a firmware log is not supported yet, and refused rather than
 * half believed.
 */
static void check_quote(struct verify_run *run, struct bytes attest, struct bytes signature)
{
        const struct hash_alg *sha256 = hash_by_tpm_id(HASH_TPM_SHA256);
        struct reasons *reasons = &run->result->host->reasons;
        const uint8_t *tree = expected_tree(run);
        struct pcr_values values = {.alg = sha256};
        struct quote_request request = {.attest = attest,
                                        .signature = signature,
                                        .key = run->ak,
                                        .bank = sha256,
                                        .required = PCR_BIT(HOSTLOG_PCR) | POLICY_REQUIRED_MASK};
        struct quote_result quote;

        if (run->ek_qualified.len != 0)
                request.parent_name = &run->ek_qualified;
        if (tree != NULL)
                request.nonce = (struct bytes){tree, QUALIFY_SIZE};
        quote_check(&request, reasons, &quote);
        if (!quote.is_quote)
                return;
        values.mask = pcr_select_mask(&quote.attest.quote.select, sha256->tpm_id);
        memcpy(values.values[HOSTLOG_PCR], run->host_log.pcr, sizeof(run->host_log.pcr));
        if (!quote_explains(&quote, &values, 1, reasons)) {
                reasons_add(reasons, "log.replay", REASON_FAIL,
                            "the host's log does not explain what its TPM quoted");
                run->host_log.n = 0;
        }
}

static void compare_component(const struct verify_run *run, struct verify_machine *host,
                              const struct policy_entry *entry)
{
        const struct hostlog_component *component = host_log_find(&run->host_log, entry->name);
        struct policy_digest digest = {.alg = hash_by_tpm_id(HASH_TPM_SHA256)};

        if (component == NULL) {
                reasons_add(&host->reasons, "policy.host", REASON_FAIL, "%s was not measured",
                            entry->name);
                return;
        }
        memcpy(digest.data, component->digest, sizeof(component->digest));
        if (policy_entry_has(entry, &digest))
                host->programs++;
        else
                reasons_add(&host->reasons, "policy.host", REASON_FAIL,
                            "%s %s is not one of the policy's", component->name,
                            component->version);
}

static void compare_software(const struct verify_run *run, struct verify_machine *host)
{
        const struct policy *policy = run->request->policy;
        size_t n = policy == NULL ? 0 : policy->host.count;

        if (run->host_log.n == 0)
                return; /* said already: nothing was measured */
        if (n == 0) {
                reasons_add(&host->reasons, "host.not-compared", REASON_WARNING,
                            "the host's software was measured, but the policy names none");
                return;
        }
        for (size_t i = 0; i < n; i++)
                compare_component(run, host, &policy->host.entries[i]);
        for (size_t i = 0; i < run->host_log.n; i++)
                if (policy_map_find(&policy->host, run->host_log.components[i].name) == NULL)
                        reasons_add(&host->reasons, "policy.host", REASON_FAIL,
                                    "%s is not in the policy", run->host_log.components[i].name);
        host->parts[VERIFY_PROGRAMS] =
            reasons_find(&host->reasons, "policy.host") == NULL ? VERIFY_OK : VERIFY_BAD;
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
        else
                reasons_add(&host->reasons, "host.evaluation", REASON_WARNING,
                            "that its TPM is hardware is the host's own word: no manufacturer's "
                            "certificate was checked");
        reasons_add(&host->reasons, "host.not-measured", REASON_WARNING,
                    "firmware, GRUB and kernel of the host were not measured");
        if (strcmp(run->result->measured_by, "tcb") == 0)
                reasons_add(&host->reasons, "host.not-measured", REASON_WARNING,
                            "the TCB measured itself: the log shows what it says it is");
}

void verify_host_judge(struct verify_run *run)
{
        struct verify_machine *host = run->result->host;
        struct bytes attest, signature;

        for (unsigned i = 0; i < VERIFY_PROGRAMS; i++)
                host->parts[i] = VERIFY_NOT_MEASURED;
        read_log(run, &host->reasons);
        if (verify_get(run, host, "host", "quote.attest", &attest) &&
            verify_get(run, host, "host", "quote.sig", &signature))
                check_quote(run, attest, signature);
        else
                run->host_log.n = 0;
        if (!reasons_failed(&host->reasons))
                compare_software(run, host);
        compare_ptpm(run, host);
}
