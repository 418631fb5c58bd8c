/* The measured files of a quoted IMA log against the policy. */
#include <string.h>

#include "evlog/appraise-private.h"

/* Returns whether this entry is a file that the policy knows. */
static bool compare_entry(struct appraise_run *run, const struct ima_entry *entry)
{
        struct reasons *reasons = &run->verdict->reasons;
        const struct policy_entry *known;
        struct policy_digest digest = {0};
        char path[POLICY_TEXT_MAX];

        if (entry->path.len == 0 || entry->path.len >= sizeof(path) ||
            memchr(entry->path.data, '\0', entry->path.len) != NULL) {
                reasons_add(reasons, "policy.program", REASON_FAIL, "a file without a usable path");
                return false;
        }
        memcpy(path, entry->path.data, entry->path.len);
        path[entry->path.len] = '\0';
        if (entry->violation) {
                reasons_add(reasons, "ima.violation", REASON_FAIL,
                            "%s was open for writing while it was measured", path);
                return false;
        }
        known = policy_map_find(&run->policy->ima, path);
        digest.alg = hash_by_name_len((const char *)entry->hash_name.data, entry->hash_name.len);
        if (known == NULL) {
                reasons_add(reasons, "policy.program", REASON_FAIL, "%s is not in the policy",
                            path);
                return false;
        }
        if (digest.alg != NULL && entry->hash.len == digest.alg->size) {
                memcpy(digest.data, entry->hash.data, entry->hash.len);
                if (policy_entry_has(known, &digest))
                        return true;
        }
        reasons_add(reasons, "policy.program", REASON_FAIL,
                    "%s changed: its digest is not one of the policy's", path);
        return false;
}

void appraise_programs(struct appraise_run *run)
{
        struct verdict *verdict = run->verdict;
        const struct ima_entry *aggregate =
            run->ima == NULL ? NULL : ima_log_boot_aggregate(run->ima);
        size_t verified = run->ima == NULL ? 0 : run->ima_verified;
        size_t files = 0;

        if (!run->policy->has_ima) {
                reasons_add(&verdict->reasons, "policy.program", REASON_WARNING,
                            "the policy says nothing of programs");
                return;
        }
        for (size_t i = 0; i < verified; i++) {
                const struct ima_entry *entry = &run->ima->entries[i];

                if (entry == aggregate || entry->pcr != IMA_PCR)
                        continue;
                files++;
                if (compare_entry(run, entry))
                        verdict->programs++;
        }
        verdict->parts[APPRAISE_PROGRAMS] = files == 0                   ? APPRAISE_NOT_MEASURED
                                            : files == verdict->programs ? APPRAISE_VERIFIED
                                                                         : APPRAISE_CHANGED;
        if (files == 0)
                reasons_add(&verdict->reasons, "ima.missing", REASON_FAIL,
                            "no program was measured: the IMA log is absent, empty or not quoted");
}
