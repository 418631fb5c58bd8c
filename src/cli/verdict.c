#include "cli/verdict.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/output.h"

#define TREE_MAX 512

static void append(char *text, size_t size, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void append(char *text, size_t size, const char *fmt, ...)
{
        size_t len = strlen(text);
        va_list ap;

        va_start(ap, fmt);
        (void)vsnprintf(text + len, size - len, fmt, ap);
        va_end(ap);
}

void verdict_tree(const struct verdict *verdict, char *ret_text, size_t size)
{
        ret_text[0] = '\0';
        for (int i = 0; i < APPRAISE_PART_COUNT; i++) {
                enum appraise_part part = (enum appraise_part)i;
                enum appraise_state state = verdict->parts[part];

                append(ret_text, size, "%s", i == 0 ? "" : "  ");
                if (part == APPRAISE_PROGRAMS && state == APPRAISE_VERIFIED)
                        append(ret_text, size, "%zu ", verdict->programs);
                append(ret_text, size, "%s %s", appraise_part_name(part),
                       state == APPRAISE_VERIFIED ? "✓" : appraise_state_name(state));
        }
}

static json_t *reasons_to_json(const struct reasons *reasons)
{
        json_t *array = json_array();

        for (size_t i = 0; i < reasons->count; i++)
                (void)json_array_append_new(
                    array, json_pack("{s:s, s:s, s:s}", "id", reasons->items[i].id, "severity",
                                     reason_severity_name(reasons->items[i].severity), "text",
                                     reasons->items[i].text));
        return array;
}

static json_t *failed_to_json(const struct reasons *reasons)
{
        json_t *array = json_array();

        for (size_t i = 0; i < reasons->count; i++)
                if (reasons->items[i].severity == REASON_FAIL)
                        (void)json_array_append_new(array, json_string(reasons->items[i].id));
        return array;
}

static json_t *parts_to_json(const struct verdict *verdict)
{
        json_t *object = json_object();

        for (int i = 0; i < APPRAISE_PART_COUNT; i++)
                (void)json_object_set_new(object, appraise_part_name((enum appraise_part)i),
                                          json_string(appraise_state_name(verdict->parts[i])));
        return object;
}

static int print_json(struct cli *cli, const struct verdict *verdict, bool with_policy,
                      struct err *err)
{
        bool trusted = verdict->tier != VERDICT_CONTRAINDICATED;
        json_t *object =
            json_pack("{s:b, s:s, s:o, s:o}", "trusted", trusted, "tier",
                      verdict_tier_name(verdict->tier), "failed", failed_to_json(&verdict->reasons),
                      "reasons", reasons_to_json(&verdict->reasons));

        if (object != NULL && with_policy) {
                (void)json_object_set_new(object, "parts", parts_to_json(verdict));
                (void)json_object_set_new(object, "programs",
                                          json_integer((json_int_t)verdict->programs));
        }
        if (object != NULL && !trusted)
                (void)json_object_set_new(object, "error",
                                          json_pack("{s:s, s:s, s:s}", "code",
                                                    err_name(ERR_NOT_TRUSTED), "message",
                                                    "the quote is refused", "hint",
                                                    "catena policy explain says what each id "
                                                    "means"));
        return cli_print_json(cli, object, err);
}

static void print_words(struct cli *cli, const struct verdict *verdict, bool with_policy)
{
        char tree[TREE_MAX];

        /* Without a policy nobody said what may run: a good quote is no good machine. */
        if (!with_policy && verdict->tier != VERDICT_CONTRAINDICATED)
                cli_print(cli, "the quote holds; what was booted was compared with nothing\n");
        else
                cli_print(cli, "%s\n", verdict_tier_name(verdict->tier));
        if (with_policy) {
                verdict_tree(verdict, tree, sizeof(tree));
                cli_print(cli, "%s\n", tree);
        }
        for (size_t i = 0; i < verdict->reasons.count; i++) {
                const struct reason *reason = &verdict->reasons.items[i];

                cli_print(cli, "%-7s  %s  %s\n", reason_severity_name(reason->severity), reason->id,
                          reason->text);
        }
        if (verdict->reasons.dropped > 0)
                cli_print(cli, "and %zu more\n", verdict->reasons.dropped);
}

int verdict_print(struct cli *cli, const struct verdict *verdict, bool with_policy, struct err *err)
{
        if (cli->format == CLI_JSON) {
                int rc = print_json(cli, verdict, with_policy, err);

                if (rc != 0)
                        return rc;
        } else {
                print_words(cli, verdict, with_policy);
        }
        if (verdict->tier == VERDICT_CONTRAINDICATED)
                return err_set(err, ERR_NOT_TRUSTED, "the quote is refused");
        return 0;
}
