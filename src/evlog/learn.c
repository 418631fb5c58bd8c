#include "evlog/learn.h"

#include <string.h>

#include "evlog/appraise-private.h"
#include "evlog/event-type.h"

#define PCR_BIT(n) (UINT32_C(1) << (n))

struct lesson {
        struct appraise_run *run;
        struct policy *policy;
        char text[POLICY_TEXT_MAX];
};

static int learn_firmware(struct lesson *l, const char *name, const struct pcr_values *values,
                          struct err *err)
{
        struct policy_firmware firmware = {.pcrs.mask = POLICY_FIRMWARE_MASK};

        if (strlen(name) >= sizeof(firmware.name))
                return err_set(err, ERR_USAGE, "the firmware profile's name is too long");
        memcpy(firmware.name, name, strlen(name));
        for (uint32_t pcr = 0; pcr < POLICY_PCR_COUNT; pcr++)
                if ((POLICY_FIRMWARE_MASK & PCR_BIT(pcr)) != 0)
                        memcpy(firmware.pcrs.values[pcr], values->values[pcr], values->alg->size);
        return policy_add_firmware(l->policy, &firmware, err);
}

static bool event_digest(const struct lesson *l, const struct tcglog_event *event,
                         struct policy_digest *ret_digest)
{
        int bank = tcglog_bank_index(l->run->log, l->policy->bank);

        if (bank < 0 || event->digests[bank] == NULL)
                return false;
        *ret_digest = (struct policy_digest){.alg = l->policy->bank};
        memcpy(ret_digest->data, event->digests[bank], l->policy->bank->size);
        return true;
}

/* Commands come first: they say which file is the kernel and which the initrd. */
static int learn_words(struct lesson *l, struct err *err)
{
        int rc = 0;

        for (size_t i = 0; rc == 0 && i < l->run->log->event_count; i++) {
                const struct tcglog_event *event = &l->run->log->events[i];
                enum appraise_word word;

                if (event->pcr != 8 || !appraise_event_word(l->run->log, event, &word, l->text))
                        continue;
                if (word == APPRAISE_COMMAND)
                        rc = policy_add_grub_command(l->policy, l->text, err);
                else if (word == APPRAISE_CMDLINE)
                        rc = policy_add_command_line(l->policy, l->text, err);
        }
        return rc;
}

static int learn_file(struct lesson *l, const struct tcglog_event *event, struct err *err)
{
        struct policy_digest digest;
        enum appraise_word word;

        if (event->pcr == 9 && appraise_event_word(l->run->log, event, &word, l->text) &&
            word == APPRAISE_FILE && event_digest(l, event, &digest))
                return policy_add_file(l->policy, l->text,
                                       policy_classify_file(&l->policy->grub_commands, l->text),
                                       &digest, err);
        if (event->pcr == 4 && event->type == EV_EFI_BOOT_SERVICES_APPLICATION &&
            event_digest(l, event, &digest))
                return policy_add_application(
                    l->policy,
                    l->policy->grub_commands.count > 0 ? POLICY_BOOT_LOADER : POLICY_KERNEL,
                    &digest, err);
        return 0;
}

static int learn_programs(struct lesson *l, struct err *err)
{
        const struct ima_log *ima = l->run->ima;
        const struct ima_entry *aggregate = ima == NULL ? NULL : ima_log_boot_aggregate(ima);
        int rc = 0;

        /* The kernel of a host may measure nothing but the boot_aggregate; a guest's must. */
        l->policy->has_ima = ima != NULL && (l->run->evidence->known == NULL || ima->count > 1);
        for (size_t i = 0; rc == 0 && ima != NULL && i < l->run->ima_verified; i++) {
                const struct ima_entry *entry = &ima->entries[i];
                struct policy_digest digest = {
                    .alg = hash_by_name_len((const char *)entry->hash_name.data,
                                            entry->hash_name.len)};

                if (entry->pcr != IMA_PCR)
                        continue; /* nothing that is quoted tells of it */
                if (entry == aggregate || digest.alg == NULL || entry->violation ||
                    entry->hash.len != digest.alg->size || entry->path.len >= sizeof(l->text))
                        continue; /* the new policy then refuses it, by name */
                memcpy(digest.data, entry->hash.data, entry->hash.len);
                memcpy(l->text, entry->path.data, entry->path.len);
                l->text[entry->path.len] = '\0';
                rc = policy_add_ima_file(l->policy, l->text, &digest, err);
        }
        return rc;
}

/* Further PCRs that the log extends and the quote covers: by value. */
static void learn_others(struct lesson *l, const struct pcr_values *values)
{
        const struct replay_bank *bank = replay_find_bank(&l->run->replay, l->policy->bank);

        for (uint32_t pcr = 11; bank != NULL && pcr <= 15; pcr++) {
                if ((bank->extended & values->mask & PCR_BIT(pcr)) == 0)
                        continue;
                memcpy(l->policy->other_pcrs.values[pcr], values->values[pcr], values->alg->size);
                l->policy->other_pcrs.mask |= PCR_BIT(pcr);
        }
}

static int learn_all(struct lesson *l, const char *firmware, struct err *err)
{
        const struct pcr_values *values = appraise_values(l->run, l->policy->bank);
        int rc;

        if (!l->run->is_explained || l->run->log == NULL || values == NULL)
                return err_set(err, ERR_NOT_TRUSTED, "the evidence does not hold");
        rc = learn_firmware(l, firmware, values, err);
        if (rc == 0)
                rc = learn_words(l, err);
        for (size_t i = 0; rc == 0 && i < l->run->log->event_count; i++)
                rc = learn_file(l, &l->run->log->events[i], err);
        if (rc == 0)
                rc = learn_programs(l, err);
        if (rc == 0)
                learn_others(l, values);
        return rc;
}

static int refuse(const struct verdict *verdict, struct err *err)
{
        for (size_t i = 0; i < verdict->reasons.count; i++)
                if (verdict->reasons.items[i].severity == REASON_FAIL)
                        return err_set(err, ERR_NOT_TRUSTED, "nothing to learn from: %s (%s)",
                                       verdict->reasons.items[i].text,
                                       verdict->reasons.items[i].id);
        return 0;
}

int learn_policy(const struct appraise_evidence *evidence, const char *name, const char *firmware,
                 const struct hash_alg *bank, struct policy **ret_policy,
                 struct verdict *ret_verdict, struct err *err)
{
        struct policy AUTO_POLICY *policy = NULL;
        struct appraise_run run;
        struct lesson lesson = {.run = &run};
        int rc;

        appraise_run_init(&run, evidence, NULL, ret_verdict);
        rc = refuse(ret_verdict, err);
        if (rc == 0)
                rc = policy_new(name, bank, &policy, err);
        lesson.policy = policy;
        if (rc == 0)
                rc = learn_all(&lesson, firmware, err);
        appraise_run_done(&run);
        if (rc != 0)
                return rc;
        /* The proof of the lesson: what was learned accepts what it was learned from. */
        appraise(evidence, policy, ret_verdict);
        rc = refuse(ret_verdict, err);
        if (rc != 0)
                return rc;
        *ret_policy = TAKE(policy);
        return 0;
}
