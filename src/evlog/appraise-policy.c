/* The boot events of a quoted log against the policy. */
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "evlog/appraise-private.h"
#include "evlog/event-type.h"

#define PCR_BIT(n)      (UINT32_C(1) << (n))
#define PCR_LOADER      4
#define PCR_TEXT        8
#define PCR_FILE        9
#define PCR_STATIC_LAST 15 /* 16 and 23 are for debugging, 17 to 22 for a dynamic launch */

#define TAG_HEADER_SIZE 8 /* TCG_PCClientTaggedEvent: id and length (PFP 1.06, 10.4.2.1) */

static const char *const part_ids[] = {"policy.firmware", "policy.boot-loader",
                                       "policy.kernel",   "policy.command-line",
                                       "policy.initrd",   "policy.program"};

/* One comparison of a log with a policy. */
struct comparison {
        struct appraise_run *run;
        const struct policy *policy;
        size_t n_commands; /* GRUB commands seen */
        char text[POLICY_TEXT_MAX];
        bool seen[APPRAISE_PART_COUNT];
};

static enum appraise_part part_of(enum policy_component component)
{
        static const enum appraise_part parts[POLICY_COMPONENT_COUNT] = {
            [POLICY_BOOT_LOADER] = APPRAISE_BOOT_LOADER,
            [POLICY_KERNEL] = APPRAISE_KERNEL,
            [POLICY_COMMAND_LINE] = APPRAISE_COMMAND_LINE,
            [POLICY_INITRD] = APPRAISE_INITRD,
        };

        return parts[component];
}

/* Adds the reason of a part and marks it. */
#define changed(c, part, ...)                                                                      \
        do {                                                                                       \
                (c)->run->verdict->parts[part] = APPRAISE_CHANGED;                                 \
                reasons_add(&(c)->run->verdict->reasons, part_ids[part], REASON_FAIL,              \
                            __VA_ARGS__);                                                          \
        } while (0)

/* Copies words that are printable and short enough; strips NULs at their end. */
static bool take_words(struct bytes words, char ret_text[POLICY_TEXT_MAX])
{
        while (words.len > 0 && words.data[words.len - 1] == '\0')
                words.len--;
        if (words.len == 0 || words.len >= POLICY_TEXT_MAX)
                return false;
        for (size_t i = 0; i < words.len; i++)
                if (words.data[i] < 0x20 || words.data[i] >= 0x7f)
                        return false;
        memcpy(ret_text, words.data, words.len);
        ret_text[words.len] = '\0';
        return true;
}

bool appraise_event_word(const struct tcglog *log, const struct tcglog_event *event,
                         enum appraise_word *ret_word, char ret_text[POLICY_TEXT_MAX])
{
        enum event_verdict verdict;
        struct err err = {0};
        bool is_cmdline = false;
        struct bytes words = event->data;

        if (event->type == EV_EVENT_TAG && event->data.len > TAG_HEADER_SIZE) {
                words.data += TAG_HEADER_SIZE;
                words.len -= TAG_HEADER_SIZE;
                *ret_word = APPRAISE_FILE;
                return take_words(words, ret_text);
        }
        if (event->type != EV_IPL)
                return false;
        words = event_grub_string(event->data, &is_cmdline);
        if (words.data == NULL) {
                *ret_word = APPRAISE_FILE;
                return take_words(event->data, ret_text);
        }
        *ret_word = is_cmdline ? APPRAISE_CMDLINE : APPRAISE_COMMAND;
        return event_verify(log, event, &verdict, &err) == 0 && verdict == EVENT_VERIFIED &&
               take_words(words, ret_text);
}

static bool event_digest(const struct comparison *c, const struct tcglog_event *event,
                         struct policy_digest *ret_digest)
{
        int bank = tcglog_bank_index(c->run->log, c->policy->bank);

        if (bank < 0 || event->digests[bank] == NULL)
                return false;
        *ret_digest = (struct policy_digest){.alg = c->policy->bank};
        memcpy(ret_digest->data, event->digests[bank], c->policy->bank->size);
        return true;
}

static void unexplained(struct comparison *c, const struct tcglog_event *event)
{
        reasons_add(&c->run->verdict->reasons, "policy.event", REASON_FAIL,
                    "event %u in PCR %u (type 0x%08x) is none that the policy explains", event->n,
                    event->pcr, event->type);
}

/* ---- firmware ------------------------------------------------------------------------------- */

/* PCRs of the profile that have other values. */
static uint32_t differing(const struct policy_firmware *firmware, const struct pcr_values *values,
                          size_t size)
{
        uint32_t mask = firmware->pcrs.mask & ~values->mask;

        for (uint32_t pcr = 0; pcr < TPM_PCR_COUNT; pcr++)
                if ((firmware->pcrs.mask & PCR_BIT(pcr)) != 0 &&
                    memcmp(firmware->pcrs.values[pcr], values->values[pcr], size) != 0)
                        mask |= PCR_BIT(pcr);
        return mask;
}

static void list_pcrs(uint32_t mask, char *text, size_t size)
{
        size_t len = 0;

        for (unsigned pcr = 0; pcr < TPM_PCR_COUNT && len < size; pcr++)
                if ((mask & PCR_BIT(pcr)) != 0)
                        len += (size_t)snprintf(text + len, size - len, "%s%u",
                                                len == 0 ? "" : ", ", pcr);
}

static void compare_firmware(struct comparison *c, const struct pcr_values *values)
{
        const struct policy *policy = c->policy;
        const struct policy_firmware *closest = NULL;
        uint32_t least = UINT32_MAX;
        char pcrs[64] = "";

        if (policy->firmware_count == 0) {
                reasons_add(&c->run->verdict->reasons, "policy.firmware", REASON_FAIL,
                            "the policy has no firmware profile");
                return;
        }
        for (size_t i = 0; i < policy->firmware_count; i++) {
                uint32_t mask = differing(&policy->firmware[i], values, policy->bank->size);

                if (__builtin_popcount(mask) < __builtin_popcount(least)) {
                        least = mask;
                        closest = &policy->firmware[i];
                }
        }
        if (least == 0 && closest->pcrs.mask == POLICY_FIRMWARE_MASK) {
                c->run->verdict->parts[APPRAISE_FIRMWARE] = APPRAISE_VERIFIED;
                return;
        }
        if (least == 0) {
                reasons_add(&c->run->verdict->reasons, "policy.firmware", REASON_FAIL,
                            "firmware profile %s does not give all of PCR 0 to 3 and 5 to 7",
                            closest->name);
                return;
        }
        list_pcrs(least, pcrs, sizeof(pcrs));
        changed(c, APPRAISE_FIRMWARE, "firmware changed: PCR %s differ from profile %s", pcrs,
                closest->name);
}

/* ---- PCR 4: what the firmware started ------------------------------------------------------- */

static void compare_application(struct comparison *c, const struct tcglog_event *event)
{
        const struct policy_map *map = &c->policy->applications;
        struct policy_digest digest;
        char hex[2 * HASH_SIZE_MAX + 1];
        enum appraise_part part = APPRAISE_BOOT_LOADER;

        if (!event_digest(c, event, &digest)) {
                unexplained(c, event);
                return;
        }
        for (size_t i = 0; i < map->count; i++) {
                if (!policy_entry_has(&map->entries[i], &digest))
                        continue;
                c->seen[part_of(map->entries[i].component)] = true;
                return;
        }
        if (map->count == 1)
                part = part_of(map->entries[0].component);
        changed(c, part, "%s changed: the firmware started an application with digest %s",
                appraise_part_name(part), hex_encode(digest.data, digest.alg->size, hex));
}

static void compare_loader_event(struct comparison *c, const struct tcglog_event *event)
{
        enum event_verdict verdict;
        struct err err = {0};

        if (event->type == EV_EFI_BOOT_SERVICES_APPLICATION) {
                compare_application(c, event);
                return;
        }
        /* Marks of the firmware, whose words are what was measured. */
        if ((event->type == EV_SEPARATOR || event->type == EV_EFI_ACTION ||
             event->type == EV_ACTION) &&
            event_verify(c->run->log, event, &verdict, &err) == 0 && verdict == EVENT_VERIFIED)
                return;
        unexplained(c, event);
}

/* ---- PCR 8: GRUB's words -------------------------------------------------------------------- */

static bool is_linux(const char *command)
{
        return strncmp(command, "linux", 5) == 0;
}

/* "linuxefi /vmlinuz args" and "linuxefi /vmlinuz others": the command line tells of the rest. */
static bool same_kernel_command(const char *a, const char *b)
{
        size_t n = strcspn(a, " ");

        if (!is_linux(a) || !is_linux(b) || n != strcspn(b, " ") || strncmp(a, b, n) != 0)
                return false;
        a += n + strspn(a + n, " ");
        b += n + strspn(b + n, " ");
        n = strcspn(a, " ");
        return n == strcspn(b, " ") && strncmp(a, b, n) == 0;
}

static void compare_command(struct comparison *c)
{
        const struct policy_list *wanted = &c->policy->grub_commands;
        size_t at = c->n_commands++;

        if (at >= wanted->count) {
                changed(c, APPRAISE_BOOT_LOADER, "GRUB ran a command more: %s", c->text);
                return;
        }
        if (strcmp(wanted->items[at], c->text) == 0 ||
            same_kernel_command(wanted->items[at], c->text))
                return;
        changed(c, APPRAISE_BOOT_LOADER, "GRUB command changed: \"%s\" instead of \"%s\"", c->text,
                wanted->items[at]);
}

static void compare_command_line(struct comparison *c)
{
        const struct policy_list *allowed = &c->policy->command_lines;

        c->seen[APPRAISE_COMMAND_LINE] = true;
        for (size_t i = 0; i < allowed->count; i++)
                if (strcmp(allowed->items[i], c->text) == 0)
                        return;
        if (allowed->count == 0)
                changed(c, APPRAISE_COMMAND_LINE, "command line \"%s\" is not in the policy",
                        c->text);
        else
                changed(c, APPRAISE_COMMAND_LINE, "command line changed: \"%s\" instead of \"%s\"",
                        c->text, allowed->items[0]);
}

/* ---- PCR 9: files --------------------------------------------------------------------------- */

static void compare_file(struct comparison *c, const struct tcglog_event *event)
{
        const struct policy_entry *entry = policy_map_find(&c->policy->files, c->text);
        struct policy_digest digest;
        char hex[2 * HASH_SIZE_MAX + 1];
        enum appraise_part part;

        if (!event_digest(c, event, &digest)) {
                unexplained(c, event);
                return;
        }
        part = part_of(entry != NULL ? entry->component
                                     : policy_classify_file(&c->policy->grub_commands, c->text));
        c->seen[part] = true;
        if (entry == NULL)
                changed(c, part, "%s %s is not in the policy", appraise_part_name(part), c->text);
        else if (!policy_entry_has(entry, &digest))
                changed(c, part, "%s %s changed: its digest is %s", appraise_part_name(part),
                        c->text, hex_encode(digest.data, digest.alg->size, hex));
}

static void compare_event(struct comparison *c, const struct tcglog_event *event)
{
        enum appraise_word word = APPRAISE_FILE;
        bool has_word;

        if (!tcglog_event_extends(event))
                return;
        if (event->pcr == PCR_LOADER) {
                compare_loader_event(c, event);
                return;
        }
        /* Whoever has root extends PCR 10 at will: entries of IMA, shown as events, hide there. */
        if (event->pcr == IMA_PCR) {
                unexplained(c, event);
                return;
        }
        if (event->pcr != PCR_TEXT && event->pcr != PCR_FILE)
                return; /* by value: compare_firmware(), compare_others() */
        has_word = appraise_event_word(c->run->log, event, &word, c->text);
        if (has_word && event->pcr == PCR_TEXT && word == APPRAISE_COMMAND)
                compare_command(c);
        else if (has_word && event->pcr == PCR_TEXT && word == APPRAISE_CMDLINE)
                compare_command_line(c);
        else if (has_word && event->pcr == PCR_FILE && word == APPRAISE_FILE)
                compare_file(c, event);
        else
                unexplained(c, event);
}

/* ---- the rest ------------------------------------------------------------------------------- */

static void compare_others(struct comparison *c, const struct pcr_values *values)
{
        const struct policy_pcrs *wanted = &c->policy->other_pcrs;
        const struct pcr_values *known = c->run->evidence->known;
        const struct replay_bank *bank = replay_find_bank(&c->run->replay, c->policy->bank);

        for (uint32_t pcr = 0; pcr < TPM_PCR_COUNT; pcr++) {
                bool is_quoted = (values->mask & PCR_BIT(pcr)) != 0;
                bool is_known = (wanted->mask & PCR_BIT(pcr)) != 0;

                if (is_known && (!is_quoted || memcmp(wanted->values[pcr], values->values[pcr],
                                                      c->policy->bank->size) != 0))
                        reasons_add(&c->run->verdict->reasons, "policy.pcr", REASON_FAIL,
                                    "PCR %u %s", pcr,
                                    is_quoted ? "differs from the policy's" : "is not quoted");
                is_known |= known != NULL && known->alg == c->policy->bank &&
                            (known->mask & PCR_BIT(pcr)) != 0;
                if (!is_known && is_quoted && pcr > IMA_PCR && pcr <= PCR_STATIC_LAST &&
                    bank != NULL && (bank->extended & PCR_BIT(pcr)) != 0)
                        reasons_add(&c->run->verdict->reasons, "policy.pcr", REASON_FAIL,
                                    "the log extends PCR %u and the policy does not know its value",
                                    pcr);
        }
}

static bool policy_has_part(const struct policy *policy, enum policy_component component)
{
        if (policy_map_find(&policy->applications, policy_component_name(component)) != NULL)
                return true;
        for (size_t i = 0; i < policy->files.count; i++)
                if (policy->files.entries[i].component == component)
                        return true;
        return component == POLICY_COMMAND_LINE && policy->command_lines.count > 0;
}

/*
 * A part that nothing spoke against is verified if it was seen. A part that was not seen refuses,
 * unless it is one that a boot may lack and the policy does not know either: the boot loader where
 * the firmware starts the kernel itself, the initrd.
 */
static void conclude(struct comparison *c, enum policy_component component)
{
        enum appraise_part part = part_of(component);
        enum appraise_state *state = &c->run->verdict->parts[part];
        bool may_lack = part == APPRAISE_INITRD || part == APPRAISE_BOOT_LOADER;

        if (*state == APPRAISE_CHANGED)
                return;
        *state = c->seen[part] ? APPRAISE_VERIFIED : APPRAISE_NOT_MEASURED;
        if (!c->seen[part] && (!may_lack || policy_has_part(c->policy, component)))
                reasons_add(&c->run->verdict->reasons, part_ids[part], REASON_FAIL,
                            "the %s was not measured", appraise_part_name(part));
}

void appraise_boot(struct appraise_run *run)
{
        const struct pcr_values *values = appraise_values(run, run->policy->bank);
        struct comparison c = {.run = run, .policy = run->policy};

        /* Everything below is judged by PCRs that a policy may have forgotten to require. */
        if (values == NULL || (values->mask & POLICY_REQUIRED_MASK) != POLICY_REQUIRED_MASK ||
            run->log == NULL) {
                reasons_add(&run->verdict->reasons, "quote.selection", REASON_FAIL,
                            "%s PCRs 0 to 10 are not all quoted", run->policy->bank->name);
                return;
        }
        compare_firmware(&c, values);
        for (size_t i = 0; i < run->log->event_count; i++)
                compare_event(&c, &run->log->events[i]);
        if (c.n_commands < run->policy->grub_commands.count)
                changed(&c, APPRAISE_BOOT_LOADER, "GRUB did not run \"%s\"",
                        run->policy->grub_commands.items[c.n_commands]);
        compare_others(&c, values);
        for (unsigned i = 0; i < POLICY_COMPONENT_COUNT; i++)
                conclude(&c, (enum policy_component)i);
}
