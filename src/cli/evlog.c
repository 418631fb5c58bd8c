/*
 * catena evlog show: a TCG event log in words, with the PCRs it adds up to.
 */
#include <string.h>

#include "base/fs.h"
#include "base/hex.h"
#include "cli/output.h"
#include "evlog/event-text.h"
#include "evlog/event-type.h"
#include "evlog/findings.h"
#include "evlog/replay.h"

static const struct cli_option show_options[] = {
    {"bank", 0, "NAME", "only this bank, for example sha256", CLI_REPEATED},
    {"pcr", 0, "N", "only events of this PCR", CLI_REPEATED},
    {"replay", 0, NULL, "print the final PCR values only", 0},
    {0},
};

/* A log with all that is derived from it. */
struct shown {
        struct tcglog *log;
        struct replay replay;
        struct findings findings;
        uint32_t banks; /* bit n: bank n of the log is wanted */
};

static bool wants_pcr(const struct cli *cli, uint32_t pcr)
{
        const char *asked = cli_option_at(cli, "pcr", 0);

        for (size_t i = 0; asked != NULL; asked = cli_option_at(cli, "pcr", ++i))
                if (strtoul(asked, NULL, 10) == pcr)
                        return true;
        return cli_option(cli, "pcr") == NULL;
}

static int check_pcrs(const struct cli *cli, struct err *err)
{
        const char *asked = cli_option_at(cli, "pcr", 0);

        for (size_t i = 0; asked != NULL; asked = cli_option_at(cli, "pcr", ++i)) {
                size_t len = strlen(asked);

                if (len == 0 || len > 2 || strspn(asked, "0123456789") != len ||
                    strtoul(asked, NULL, 10) >= TCGLOG_PCR_COUNT)
                        return err_set(err, ERR_USAGE, "--pcr is a number from 0 to 23");
        }
        return 0;
}

static int choose_banks(const struct cli *cli, const struct tcglog *log, uint32_t *ret_banks,
                        struct err *err)
{
        const char *asked = cli_option_at(cli, "bank", 0);
        uint32_t banks = asked == NULL ? UINT32_MAX : 0;

        for (size_t i = 0; asked != NULL; asked = cli_option_at(cli, "bank", ++i)) {
                const struct hash_alg *alg = hash_by_name(asked);
                int bank = alg == NULL ? -1 : tcglog_bank_index(log, alg);

                if (alg == NULL)
                        return err_set(err, ERR_USAGE, "no bank is called \"%s\"", asked);
                if (bank < 0)
                        return err_set(err, ERR_NOT_FOUND, "the log has no %s bank", asked);
                banks |= UINT32_C(1) << bank;
        }
        *ret_banks = banks;
        return 0;
}

static bool is_wanted(const struct shown *shown, size_t bank)
{
        return (shown->banks >> bank & 1) != 0;
}

static json_t *pcrs_to_json(const struct replay_bank *bank)
{
        json_t *pcrs = json_object();
        char text[2 * HASH_SIZE_MAX + 1];
        char key[8];

        for (uint32_t pcr = 0; pcr < TCGLOG_PCR_COUNT; pcr++) {
                const uint8_t *value = replay_bank_pcr(bank, pcr);

                if (value == NULL)
                        continue;
                (void)snprintf(key, sizeof(key), "%u", pcr);
                hex_encode(value, bank->alg->size, text);
                if (json_object_set_new(pcrs, key, json_string(text)) < 0) {
                        json_decref(pcrs);
                        return NULL;
                }
        }
        return pcrs;
}

static json_t *banks_to_json(const struct shown *shown)
{
        json_t *banks = json_object();

        for (size_t i = 0; i < shown->replay.count; i++) {
                const struct replay_bank *bank = &shown->replay.banks[i];
                int index = tcglog_bank_index(shown->log, bank->alg);

                if (index >= 0 && is_wanted(shown, (size_t)index) &&
                    json_object_set_new(banks, bank->alg->name, pcrs_to_json(bank)) < 0) {
                        json_decref(banks);
                        return NULL;
                }
        }
        return banks;
}

static json_t *digests_to_json(const struct shown *shown, const struct tcglog_event *event)
{
        json_t *digests = json_object();

        for (size_t i = 0; i < shown->log->bank_count; i++) {
                const struct tcglog_bank *bank = &shown->log->banks[i];
                char text[2 * HASH_SIZE_MAX + 1];
                char name[16];

                if (event->digests[i] == NULL || !is_wanted(shown, i))
                        continue;
                hex_encode(event->digests[i], bank->size, text);
                if (json_object_set_new(digests, tcglog_bank_name(bank, name), json_string(text)) <
                    0) {
                        json_decref(digests);
                        return NULL;
                }
        }
        return digests;
}

static json_t *verdict_to_json(enum event_verdict verdict)
{
        if (verdict == EVENT_UNVERIFIABLE)
                return json_null();
        return json_boolean(verdict != EVENT_MISMATCH);
}

static json_t *event_to_json(const struct shown *shown, const struct tcglog_event *event,
                             enum event_verdict verdict)
{
        char text[TEXT_SIZE];
        char name[16];

        return json_pack("{s:I,s:I,s:s,s:o,s:o,s:s}", "n", (json_int_t)event->n, "pcr",
                         (json_int_t)event->pcr, "type", event_type_name(event->type, name),
                         "digests", digests_to_json(shown, event), "data_verified",
                         verdict_to_json(verdict), "text",
                         event_text(event, verdict, text, sizeof(text)));
}

static int events_to_json(const struct cli *cli, const struct shown *shown, json_t *array,
                          struct err *err)
{
        for (size_t i = 0; i < shown->log->event_count; i++) {
                const struct tcglog_event *event = &shown->log->events[i];
                enum event_verdict verdict;
                int rc;

                if (!wants_pcr(cli, event->pcr))
                        continue;
                rc = event_verify(shown->log, event, &verdict, err);
                if (rc != 0)
                        return rc;
                if (json_array_append_new(array, event_to_json(shown, event, verdict)) < 0)
                        return err_set(err, ERR_NO_MEMORY, "event %u", event->n);
        }
        return 0;
}

static json_t *findings_to_json(const struct findings *findings)
{
        json_t *array = json_array();

        for (size_t i = 0; i < findings->count; i++) {
                const struct finding *finding = &findings->list[i];
                json_t *object =
                    json_pack("{s:s,s:s,s:s}", "id", finding->id, "severity",
                              finding_severity_name(finding->severity), "text", finding->text);

                if (finding->pcr != FINDING_NO_PCR)
                        (void)json_object_set_new(object, "pcr", json_integer(finding->pcr));
                if (finding->event != FINDING_NO_EVENT)
                        (void)json_object_set_new(object, "event", json_integer(finding->event));
                if (json_array_append_new(array, object) < 0) {
                        json_decref(array);
                        return NULL;
                }
        }
        return array;
}

static const char *format_name(enum tcglog_format format)
{
        static const char *const names[] = {
            [TCGLOG_LEGACY] = "sha1-only", [TCGLOG_AGILE] = "crypto-agile", [TCGLOG_CCEL] = "ccel"};

        return names[format];
}

static int show_json(struct cli *cli, const struct shown *shown, struct err *err)
{
        json_t *events = json_array();
        json_t *root;
        int rc;

        if (cli_switch(cli, "replay")) {
                json_decref(events);
                return cli_print_json(cli, json_pack("{s:o}", "banks", banks_to_json(shown)), err);
        }
        rc = events_to_json(cli, shown, events, err);
        if (rc != 0) {
                json_decref(events);
                return rc;
        }
        root = json_pack("{s:s,s:o,s:o,s:o}", "format", format_name(shown->log->format), "banks",
                         banks_to_json(shown), "events", events, "findings",
                         findings_to_json(&shown->findings));
        return cli_print_json(cli, root, err);
}

static int add_event_row(struct cli_table *table, const struct shown *shown,
                         const struct tcglog_event *event, struct err *err)
{
        static const char *const verdicts[] = {[EVENT_MISMATCH] = "NO",
                                               [EVENT_VERIFIED] = "yes",
                                               [EVENT_VALUE] = "yes",
                                               [EVENT_UNVERIFIABLE] = "-"};
        enum event_verdict verdict;
        char text[TEXT_SIZE];
        char name[16];
        char pcr[16];
        char n[16];
        int rc = event_verify(shown->log, event, &verdict, err);

        if (rc != 0)
                return rc;
        (void)snprintf(n, sizeof(n), "%u", event->n);
        (void)snprintf(pcr, sizeof(pcr), "%u", event->pcr);
        return cli_table_add(table,
                             (const char *const[]){n, event->pcr == TCGLOG_PCR_NONE ? "-" : pcr,
                                                   event_type_name(event->type, name),
                                                   verdicts[verdict],
                                                   event_text(event, verdict, text, sizeof(text))},
                             err);
}

static int show_events(struct cli *cli, const struct shown *shown, struct err *err)
{
        static const char *const columns[] = {"N", "PCR", "TYPE", "VERIFIED", "TEXT", NULL};
        struct cli_table AUTO_CLI_TABLE *table = cli_table_new(columns);

        if (table == NULL)
                return err_set(err, ERR_NO_MEMORY, "table of events");
        for (size_t i = 0; i < shown->log->event_count; i++) {
                int rc = 0;

                if (wants_pcr(cli, shown->log->events[i].pcr))
                        rc = add_event_row(table, shown, &shown->log->events[i], err);
                if (rc != 0)
                        return rc;
        }
        return cli_table_print(cli, table, err);
}

static void show_bank(struct cli *cli, const struct replay_bank *bank)
{
        char text[2 * HASH_SIZE_MAX + 1];

        cli_print(cli, "%s\n", bank->alg->name);
        for (uint32_t pcr = 0; pcr < TCGLOG_PCR_COUNT; pcr++) {
                const uint8_t *value = replay_bank_pcr(bank, pcr);

                if (value != NULL)
                        cli_print(cli, "  %2u  %s\n", pcr,
                                  hex_encode(value, bank->alg->size, text));
                else if ((bank->incomplete >> pcr & 1) != 0)
                        cli_print(cli, "  %2u  unknown: an event lacks this bank\n", pcr);
        }
}

static void show_finding(struct cli *cli, const struct finding *finding)
{
        cli_print(cli, "%-8s %-24s", finding_severity_name(finding->severity), finding->id);
        if (finding->pcr != FINDING_NO_PCR)
                cli_print(cli, " PCR %u", finding->pcr);
        if (finding->event != FINDING_NO_EVENT)
                cli_print(cli, " event %u", finding->event);
        cli_print(cli, "%s%s\n", finding->pcr != FINDING_NO_PCR ? ": " : " ", finding->text);
}

static int show_table(struct cli *cli, const struct shown *shown, struct err *err)
{
        if (!cli_switch(cli, "replay")) {
                int rc = show_events(cli, shown, err);

                if (rc != 0)
                        return rc;
                cli_print(cli, "\n");
        }
        for (size_t i = 0; i < shown->replay.count; i++) {
                int index = tcglog_bank_index(shown->log, shown->replay.banks[i].alg);

                if (index >= 0 && is_wanted(shown, (size_t)index))
                        show_bank(cli, &shown->replay.banks[i]);
        }
        if (cli_switch(cli, "replay"))
                return 0;
        cli_print(cli, "\n");
        for (size_t i = 0; i < shown->findings.count; i++)
                show_finding(cli, &shown->findings.list[i]);
        return 0;
}

static int show_log(struct cli *cli, struct shown *shown, struct err *err)
{
        int rc = choose_banks(cli, shown->log, &shown->banks, err);

        if (rc == 0)
                rc = replay_run(shown->log, &shown->replay, err);
        if (rc == 0)
                rc = findings_collect(shown->log, &shown->findings, err);
        if (rc != 0)
                return rc;
        return cli->format == CLI_JSON ? show_json(cli, shown, err) : show_table(cli, shown, err);
}

static int run_show(struct cli *cli, struct err *err)
{
        struct shown AUTO_FREE *shown = calloc(1, sizeof(*shown));
        uint8_t AUTO_FREE *data = NULL;
        struct tcglog AUTO_TCGLOG *log = NULL;
        size_t len;
        int rc = check_pcrs(cli, err);

        if (shown == NULL)
                return err_set(err, ERR_NO_MEMORY, "event log");
        if (rc == 0)
                rc = fs_read_file(cli_arg(cli, 0), TCGLOG_SIZE_MAX, &data, &len, err);
        if (rc != 0)
                return rc;
        rc = tcglog_parse((struct bytes){data, len}, &log, err);
        if (rc != 0)
                return err_wrap(err, "%s", cli_arg(cli, 0));
        shown->log = log;
        return show_log(cli, shown, err);
}

const struct cli_verb cli_evlog_verbs[] = {
    {"evlog", "show", "FILE", "show a TCG event log: events in words and the PCRs they add up to",
     "Reads crypto-agile, SHA-1-only and CCEL logs, for example "
     "/sys/kernel/security/tpm0/binary_bios_measurements; no TPM is needed. VERIFIED says whether "
     "the digest is the hash of the event's data; what the digest does not cover is marked in the "
     "text. A malformed log exits with 1 and names the byte.",
     show_options, run_show},
    {0},
};
