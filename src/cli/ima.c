/*
 * catena ima show: an IMA measurement list, binary or ASCII, with the PCRs it adds up to.
 */
#include <string.h>

#include "base/fs.h"
#include "base/hex.h"
#include "cli/output.h"
#include "evlog/ima.h"
#include "evlog/text.h"

#define PCR_COUNT 24

static const struct cli_option show_options[] = {
    {"bank", 0, "NAME", "only this bank; the default is sha1, sha256, sha384 and sha512",
     CLI_REPEATED},
    {"replay", 0, NULL, "print the final PCR values only", 0},
    {0},
};

static const char *const bank_names[] = {"sha1", "sha256", "sha384", "sha512"};

static bool wants_bank(const struct cli *cli, const char *name)
{
        const char *asked = cli_option_at(cli, "bank", 0);

        for (size_t i = 0; asked != NULL; asked = cli_option_at(cli, "bank", ++i))
                if (strcmp(asked, name) == 0)
                        return true;
        return cli_option(cli, "bank") == NULL;
}

static int check_banks(const struct cli *cli, struct err *err)
{
        const char *asked = cli_option_at(cli, "bank", 0);

        for (size_t i = 0; asked != NULL; asked = cli_option_at(cli, "bank", ++i)) {
                bool known = false;

                for (size_t n = 0; n < ARRAY_SIZE(bank_names); n++)
                        known |= strcmp(asked, bank_names[n]) == 0;
                if (!known)
                        return err_set(err, ERR_USAGE, "no bank is called \"%s\"", asked);
        }
        return 0;
}

/* Replays one PCR; false where the list never extends it. */
static int replay_pcr(const struct ima_log *log, const struct hash_alg *alg, uint32_t pcr,
                      char ret_hex[2 * HASH_SIZE_MAX + 1], bool *ret_touched, struct err *err)
{
        struct ima_replay replay;
        int rc;

        ima_replay_init(&replay, alg, pcr);
        rc = ima_replay_run(&replay, log, log->count, err);
        if (rc != 0)
                return rc;
        *ret_touched = replay.extended > 0;
        hex_encode(replay.value, alg->size, ret_hex);
        return 0;
}

static uint32_t touched_pcrs(const struct ima_log *log)
{
        uint32_t touched = 0;

        for (size_t i = 0; i < log->count; i++)
                touched |= UINT32_C(1) << log->entries[i].pcr;
        return touched;
}

static int bank_to_json(const struct ima_log *log, const struct hash_alg *alg, json_t *banks,
                        struct err *err)
{
        uint32_t touched = touched_pcrs(log);
        json_t *pcrs = json_object();

        if (json_object_set_new(banks, alg->name, pcrs) < 0)
                return err_set(err, ERR_NO_MEMORY, "PCRs");
        for (uint32_t pcr = 0; pcr < PCR_COUNT; pcr++) {
                char text[2 * HASH_SIZE_MAX + 1];
                bool extended = false;
                char key[8];
                int rc = 0;

                if ((touched >> pcr & 1) != 0)
                        rc = replay_pcr(log, alg, pcr, text, &extended, err);
                if (rc != 0)
                        return rc;
                (void)snprintf(key, sizeof(key), "%u", pcr);
                if (extended && json_object_set_new(pcrs, key, json_string(text)) < 0)
                        return err_set(err, ERR_NO_MEMORY, "PCRs");
        }
        return 0;
}

static int banks_to_json(const struct cli *cli, const struct ima_log *log, json_t *banks,
                         struct err *err)
{
        for (size_t i = 0; i < ARRAY_SIZE(bank_names); i++) {
                int rc = 0;

                if (wants_bank(cli, bank_names[i]))
                        rc = bank_to_json(log, hash_by_name(bank_names[i]), banks, err);
                if (rc != 0)
                        return rc;
        }
        return 0;
}

/* Paths are arbitrary bytes and JSON is UTF-8, so all but printable ASCII is escaped. */
static const char *words(struct bytes bytes, char *memory, size_t size)
{
        struct text text;

        text_init(&text, memory, size);
        text_add_ascii(&text, bytes);
        return memory;
}

static const char *hash_words(const struct ima_entry *entry, char *memory, size_t size)
{
        char hex[2 * HASH_SIZE_MAX + 1];
        struct text text;

        text_init(&text, memory, size);
        if (entry->hash.len == 0)
                return memory;
        if (entry->hash_name.len > 0) {
                text_add_ascii(&text, entry->hash_name);
                text_add(&text, ":");
        }
        text_add(&text, "%s", hex_encode(entry->hash.data, entry->hash.len, hex));
        return memory;
}

/* A signature or buffer in hex: any length, so on the heap. */
static int set_hex(json_t *object, const char *key, struct bytes bytes)
{
        char AUTO_FREE *hex = NULL;

        if (bytes.len == 0)
                return 0;
        hex = malloc(2 * bytes.len + 1);
        if (hex == NULL)
                return -1;
        return json_object_set_new(object, key,
                                   json_string(hex_encode(bytes.data, bytes.len, hex)));
}

static json_t *entry_to_json(size_t n, const struct ima_entry *entry, bool verified)
{
        char digest[2 * HASH_SIZE_MAX + 1];
        char path[TEXT_SIZE];
        char hash[TEXT_SIZE];
        char template[4 * IMA_TEMPLATE_MAX + 8];
        json_t *object;

        object = json_pack(
            "{s:I,s:I,s:s,s:s,s:o,s:b,s:s,s:s}", "n", (json_int_t)n, "pcr", (json_int_t)entry->pcr,
            "template", words(entry->template, template, sizeof(template)), "template_digest",
            hex_encode(entry->digest.data, entry->digest.len, digest), "template_verified",
            entry->violation ? json_null() : json_boolean(verified), "violation", entry->violation,
            "digest", hash_words(entry, hash, sizeof(hash)), "path",
            words(entry->path, path, sizeof(path)));
        if (object == NULL || set_hex(object, "signature", entry->signature) < 0 ||
            set_hex(object, "buffer", entry->buffer) < 0) {
                json_decref(object);
                return NULL;
        }
        return object;
}

static int entries_to_json(const struct ima_log *log, json_t *entries, struct err *err)
{
        for (size_t i = 0; i < log->count; i++) {
                bool verified;
                int rc = ima_entry_verify(log, &log->entries[i], &verified, err);

                if (rc != 0)
                        return rc;
                if (json_array_append_new(entries, entry_to_json(i, &log->entries[i], verified)) <
                    0)
                        return err_set(err, ERR_NO_MEMORY, "IMA entry %zu", i);
        }
        return 0;
}

static int show_json(struct cli *cli, const struct ima_log *log, struct err *err)
{
        json_t *banks = json_object();
        json_t *entries = json_array();
        json_t *root = json_pack("{s:s,s:o,s:o}", "template_hash", log->digest_alg->name, "banks",
                                 banks, "entries", entries);
        int rc = root == NULL ? err_set(err, ERR_NO_MEMORY, "IMA log") : 0;

        if (rc == 0)
                rc = banks_to_json(cli, log, banks, err);
        if (rc == 0 && !cli_switch(cli, "replay"))
                rc = entries_to_json(log, entries, err);
        if (rc == 0 && cli_switch(cli, "replay"))
                (void)json_object_del(root, "entries");
        if (rc != 0) {
                json_decref(root);
                return rc;
        }
        return cli_print_json(cli, root, err);
}

static int add_entry_row(struct cli_table *table, const struct ima_log *log, size_t n,
                         struct err *err)
{
        const struct ima_entry *entry = &log->entries[n];
        const char *verdict = "violation";
        char path[TEXT_SIZE];
        char hash[TEXT_SIZE];
        char number[24];
        char pcr[16];
        bool verified;
        int rc = ima_entry_verify(log, entry, &verified, err);

        if (rc != 0)
                return rc;
        if (!entry->violation)
                verdict = verified ? "yes" : "NO";
        (void)snprintf(number, sizeof(number), "%zu", n);
        (void)snprintf(pcr, sizeof(pcr), "%u", entry->pcr);
        return cli_table_add(table,
                             (const char *const[]){number, pcr, verdict,
                                                   entry->signature.len > 0 ? "yes" : "-",
                                                   hash_words(entry, hash, sizeof(hash)),
                                                   words(entry->path, path, sizeof(path))},
                             err);
}

static int show_entries(struct cli *cli, const struct ima_log *log, struct err *err)
{
        static const char *const columns[] = {"N",      "PCR",  "VERIFIED", "SIGNED",
                                              "DIGEST", "PATH", NULL};
        struct cli_table AUTO_CLI_TABLE *table = cli_table_new(columns);

        if (table == NULL)
                return err_set(err, ERR_NO_MEMORY, "table of entries");
        for (size_t i = 0; i < log->count; i++) {
                int rc = add_entry_row(table, log, i, err);

                if (rc != 0)
                        return rc;
        }
        return cli_table_print(cli, table, err);
}

static int show_bank(struct cli *cli, const struct ima_log *log, const struct hash_alg *alg,
                     struct err *err)
{
        uint32_t touched = touched_pcrs(log);

        cli_print(cli, "%s\n", alg->name);
        for (uint32_t pcr = 0; pcr < PCR_COUNT; pcr++) {
                char text[2 * HASH_SIZE_MAX + 1];
                bool extended;
                int rc;

                if ((touched >> pcr & 1) == 0)
                        continue;
                rc = replay_pcr(log, alg, pcr, text, &extended, err);
                if (rc != 0)
                        return rc;
                cli_print(cli, "  %2u  %s\n", pcr, text);
        }
        return 0;
}

static int show_table(struct cli *cli, const struct ima_log *log, struct err *err)
{
        int rc = 0;

        if (!cli_switch(cli, "replay"))
                rc = show_entries(cli, log, err);
        for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(bank_names); i++)
                if (wants_bank(cli, bank_names[i]))
                        rc = show_bank(cli, log, hash_by_name(bank_names[i]), err);
        return rc;
}

static int run_show(struct cli *cli, struct err *err)
{
        uint8_t AUTO_FREE *data = NULL;
        struct ima_log AUTO_IMA_LOG *log = NULL;
        size_t len;
        int rc = check_banks(cli, err);

        if (rc == 0)
                rc = fs_read_file(cli_arg(cli, 0), IMA_LOG_MAX, &data, &len, err);
        if (rc != 0)
                return rc;
        rc = ima_log_parse((struct bytes){data, len}, &log, err);
        /* The kernel puts a boot_aggregate first: a list without entries is one that was cut. */
        if (rc == 0 && log->count == 0)
                rc = err_set(err, ERR_MALFORMED, "IMA entry 0 at byte 0: an empty list");
        if (rc != 0)
                return err_wrap(err, "%s", cli_arg(cli, 0));
        return cli->format == CLI_JSON ? show_json(cli, log, err) : show_table(cli, log, err);
}

const struct cli_verb cli_ima_verbs[] = {
    {"ima", "show", "FILE", "show an IMA measurement list and the PCR values it adds up to",
     "Reads binary_runtime_measurements and ascii_runtime_measurements of "
     "/sys/kernel/security/ima. VERIFIED says whether the template digest of the list is the hash "
     "of the entry; PCR values are always computed from the entries themselves, in every bank.",
     show_options, run_show},
    {0},
};
