#include "verify/report.h"

#include <stdio.h>
#include <string.h>

#include "verify/ear.h"
#include "verify/jwt.h"

#define TICK   " \u2713"
#define CROSS  " \u2717"
#define BRANCH "\u251c\u2500 "
#define LAST   "\u2514\u2500 "
#define GAP    "   "

static void put(struct writer *w, const char *text)
{
        writer_put_text(w, text);
}

static void put_padded(struct writer *w, const char *text, size_t width)
{
        put(w, text);
        for (size_t n = strlen(text); n < width; n++)
                writer_put_u8(w, ' ');
}

static const char *host_words(const struct verify_result *result)
{
        if (result->host->tier == VERIFY_CONTRAINDICATED)
                return "not trusted";
        return result->host->tier == VERIFY_WARNING ? "evaluation" : "trusted";
}

static const char *vm_words(const struct verify_result *result, const struct verify_machine *vm)
{
        if (vm->tier == VERIFY_CONTRAINDICATED)
                return "not trusted";
        return result->host->tier == VERIFY_WARNING ? "trusted on evaluation host" : "trusted";
}

/* "firmware, GRUB, kernel not measured", in one breath. */
static void put_without(struct writer *w, const struct verify_machine *machine, unsigned parts,
                        enum verify_mark mark, const char *words)
{
        bool any = false;

        for (unsigned i = 0; i < parts; i++) {
                if (machine->parts[i] != mark)
                        continue;
                put(w, any ? ", " : GAP);
                put(w, verify_part_name((enum verify_part)i));
                any = true;
        }
        if (any)
                put(w, words);
}

static bool was_compared(enum verify_mark mark)
{
        return mark == VERIFY_OK || mark == VERIFY_BAD;
}

static void put_not(struct writer *w, const struct verify_machine *machine, unsigned parts)
{
        put_without(w, machine, parts, VERIFY_NOT_MEASURED, " not measured");
        put_without(w, machine, parts, VERIFY_NOT_CHECKED, " not checked");
}

static void put_marks(struct writer *w, const struct verify_machine *machine)
{
        for (unsigned i = 0; i < VERIFY_PROGRAMS; i++) {
                if (!was_compared(machine->parts[i]))
                        continue;
                put(w, i == 0 ? GAP : "  ");
                put(w, verify_part_name((enum verify_part)i));
                put(w, machine->parts[i] == VERIFY_OK ? TICK : CROSS);
        }
}

static void put_programs(struct writer *w, const struct verify_machine *vm)
{
        char text[64];

        if (!was_compared(vm->parts[VERIFY_PROGRAMS]))
                return;
        (void)snprintf(text, sizeof(text), "  %zu program%s", vm->programs,
                       vm->programs == 1 ? "" : "s");
        put(w, vm->parts[VERIFY_PROGRAMS] == VERIFY_OK ? text : "  programs");
        put(w, vm->parts[VERIFY_PROGRAMS] == VERIFY_OK ? TICK : CROSS);
}

static const char *ptpm_words(const struct verify_result *result)
{
        if (strcmp(result->ptpm, "hardware") == 0)
                return result->ek_certified ? "hardware pTPM" : "hardware pTPM (by its own word)";
        return strcmp(result->ptpm, "unknown") == 0 ? "unknown pTPM" : "software pTPM";
}

/* One for all of it: what ran is in the policy, or not. */
static const char *software_mark(enum verify_mark software)
{
        if (software == VERIFY_OK)
                return TICK;
        return software == VERIFY_BAD ? CROSS : " not compared";
}

static void put_host(struct writer *w, const struct verify_result *result, size_t width)
{
        const struct verify_machine *host = result->host;
        enum verify_mark software = host->parts[VERIFY_PROGRAMS];

        put_padded(w, host->name[0] == '\0' ? "(no host)" : host->name, width);
        put(w, GAP);
        put(w, host_words(result));
        put(w, GAP);
        put(w, ptpm_words(result));
        put_marks(w, host);
        put_not(w, host, VERIFY_COMMAND_LINE);
        put(w, GAP "catena-tcb ");
        put(w, result->tcb_version);
        put(w, software_mark(software));
        if (result->supervised) {
                put(w, "  catena-supervisor");
                put(w, software_mark(software));
        }
        put(w, GAP "rollback protection: none\n");
}

static void put_vm(struct writer *w, const struct verify_result *result, size_t i, size_t width)
{
        const struct verify_machine *vm = result->vms[i];

        put(w, i + 1 == result->n_vms ? LAST : BRANCH);
        put_padded(w, vm->name, width - 3);
        put(w, GAP);
        put(w, vm_words(result, vm));
        if (strlen(vm->id) > 8) {
                put(w, GAP "vTPM ");
                /* The first four digits are the hash algorithm of the name. */
                writer_put(w, vm->id + 4, 4);
                put(w, "\u2026");
        }
        put_marks(w, vm);
        put_programs(w, vm);
        put_not(w, vm, VERIFY_PARTS);
        put(w, "\n");
}

static void put_reasons(struct writer *w, const struct verify_machine *machine)
{
        static const char *const words[] = {"note", "warning", "refused"};

        for (size_t i = 0; i < machine->reasons.count; i++) {
                const struct reason *reason = &machine->reasons.items[i];

                put(w, machine->name);
                put(w, ": ");
                put(w, words[reason->severity]);
                put(w, ": ");
                put(w, reason->text);
                put(w, " [");
                put(w, reason->id);
                put(w, "]\n");
        }
        if (machine->reasons.dropped != 0)
                put(w, "and more reasons than fit here\n");
}

void report_put(struct writer *w, const struct verify_result *result)
{
        size_t width = strlen(result->host->name);

        for (size_t i = 0; i < result->n_vms; i++)
                if (width < strlen(result->vms[i]->name) + 3)
                        width = strlen(result->vms[i]->name) + 3;
        put_host(w, result, width);
        for (size_t i = 0; i < result->n_vms; i++)
                put_vm(w, result, i, width);
        put(w, "\n");
        put_reasons(w, result->host);
        for (size_t i = 0; i < result->n_vms; i++)
                put_reasons(w, result->vms[i]);
}

static int add_reasons(json_t *list, const struct verify_machine *machine)
{
        for (size_t i = 0; i < machine->reasons.count; i++) {
                const struct reason *reason = &machine->reasons.items[i];
                json_t *text = json_string(reason->text);
                json_t *item =
                    json_pack("{s:s, s:s, s:s, s:o}", "machine", machine->name, "id", reason->id,
                              "severity", reason_severity_name(reason->severity), "text",
                              text == NULL ? json_string(reason->id) : text);

                if (json_array_append_new(list, item) != 0)
                        return ERR_NO_MEMORY;
        }
        return 0;
}

int report_to_json(const struct verify_result *result, json_t **ret_json, struct err *err)
{
        json_t AUTO_JSON *claims = NULL, AUTO_JSON *reasons = json_array();
        int rc = ear_claims(result, &claims, err);
        int added;

        if (rc != 0)
                return rc;
        added = add_reasons(reasons, result->host);
        for (size_t i = 0; added == 0 && i < result->n_vms; i++)
                added = add_reasons(reasons, result->vms[i]);
        if (added != 0 ||
            json_object_set_new(claims, "verdict", json_string(verify_tier_name(result->tier))) !=
                0 ||
            json_object_set(claims, "reasons", reasons) != 0)
                return err_set(err, ERR_NO_MEMORY, "report");
        *ret_json = TAKE(claims);
        return 0;
}
