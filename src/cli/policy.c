/*
 * catena policy learn, check and explain: reference values from a golden boot, a policy in words,
 * a verdict in words.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/hex.h"
#include "cli/collect.h"
#include "cli/golden.h"
#include "cli/output.h"
#include "evlog/learn.h"
#include "verify/base64url.h"
#include "verify/ear.h"

#define INPUT_MAX   (64U << 20)
#define NONCE_MAX   128
#define VERDICT_MAX (4U << 20) /* bytes of a verdict or token */

static const struct cli_option learn_options[] = {
    {"from", 0, "DIR", "folder with the evidence of one boot", 0},
    {"name", 0, "NAME", "the policy's name (default: guest)", 0},
    {"firmware-name", 0, "NAME", "name of the firmware profile (default: firmware)", 0},
    {"bank", 0, "BANK", "bank of PCRs to learn (default: sha256)", 0},
    {"out", 'o', "FILE", "write the policy here instead of printing it", 0},
    {0},
};

/* ---- learn ---------------------------------------------------------------------------------- */

enum blob { ATTEST, SIGNATURE, AK, NONCE, TCG_LOG, EK, IMA_LOG, IMA_ASCII, BLOB_COUNT };

static const struct {
        const char *name;
        bool is_optional;
} blobs[BLOB_COUNT] = {
    [ATTEST] = {"quote.attest", false},
    [SIGNATURE] = {"quote.sig", false},
    [AK] = {"ak.pub", false},
    [NONCE] = {"nonce.hex", false},
    [TCG_LOG] = {"binary_bios_measurements", false},
    [EK] = {"ek.pub", true},
    [IMA_LOG] = {"binary_runtime_measurements", true},
    [IMA_ASCII] = {"ascii_runtime_measurements", true},
};

struct folder {
        uint8_t *memory[BLOB_COUNT];
        struct bytes bytes[BLOB_COUNT];
        uint8_t nonce[NONCE_MAX];
        size_t nonce_len;
};

static void folder_done(struct folder *folder)
{
        for (size_t i = 0; i < BLOB_COUNT; i++)
                free(folder->memory[i]);
}

static int folder_load(struct folder *folder, const char *dir, struct err *err)
{
        size_t len;

        for (size_t i = 0; i < BLOB_COUNT; i++) {
                char path[4096];
                int rc = fs_join(path, sizeof(path), dir, blobs[i].name, err);

                if (rc == 0)
                        rc = fs_read_file(path, INPUT_MAX, &folder->memory[i],
                                          &folder->bytes[i].len, err);
                if (rc == ERR_NOT_FOUND && blobs[i].is_optional)
                        continue;
                if (rc != 0)
                        return rc;
                folder->bytes[i].data = folder->memory[i];
        }
        *err = (struct err){0};
        len = folder->bytes[NONCE].len;
        while (len > 0 && strchr(" \t\r\n", folder->memory[NONCE][len - 1]) != NULL)
                len--;
        if (hex_decode((const char *)folder->memory[NONCE], len, folder->nonce,
                       sizeof(folder->nonce), &folder->nonce_len) != 0)
                return err_set(err, ERR_MALFORMED, "%s/nonce.hex is not hexadecimal", dir);
        return 0;
}

static int learn_folder(const struct cli *cli, const struct folder *folder,
                        struct policy **ret_policy, struct err *err)
{
        const char *name = cli_option(cli, "name");
        const char *firmware = cli_option(cli, "firmware-name");
        const char *bank = cli_option(cli, "bank");
        const struct hash_alg *alg = hash_by_name(bank == NULL ? "sha256" : bank);
        struct verdict AUTO_FREE *verdict = calloc(1, sizeof(*verdict));
        const struct appraise_evidence evidence = {
            .key = folder->bytes[AK],
            .attest = folder->bytes[ATTEST],
            .signature = folder->bytes[SIGNATURE],
            .nonce = {folder->nonce, folder->nonce_len},
            .ek = folder->bytes[EK],
            .tcg_log = folder->bytes[TCG_LOG],
            .ima_log = folder->bytes[folder->bytes[IMA_LOG].len > 0 ? IMA_LOG : IMA_ASCII],
        };

        if (verdict == NULL)
                return err_set(err, ERR_NO_MEMORY, "policy learn");
        if (alg == NULL)
                return err_set(err, ERR_USAGE, "no bank is called \"%s\"", bank);
        return learn_policy(&evidence, name == NULL ? "guest" : name,
                            firmware == NULL ? "firmware" : firmware, alg, ret_policy, verdict,
                            err);
}

static int put_policy(struct cli *cli, const struct policy *policy, struct err *err)
{
        const char *out = cli_option(cli, "out");
        char AUTO_FREE *text = NULL;
        size_t len = 0;
        int rc = policy_to_json(policy, &text, &len, err);

        if (rc != 0)
                return rc;
        if (out == NULL) {
                cli->printed = true;
                cli_print(cli, "%s", text);
                return 0;
        }
        rc = fs_write_file(out, text, len, 0644, err);
        if (rc != 0)
                return rc;
        if (cli->format == CLI_JSON)
                return cli_print_json(cli,
                                      json_pack("{s:s, s:s, s:I, s:I}", "policy", out, "name",
                                                policy->name, "files",
                                                (json_int_t)policy->files.count, "programs",
                                                (json_int_t)policy->ima.count),
                                      err);
        cli_print(cli, "%s: firmware, %zu boot files, %zu GRUB commands, %zu programs\n", out,
                  policy->files.count, policy->grub_commands.count, policy->ima.count);
        return 0;
}

/* A challenge to a running VM, whose boot is taken as good: the host's software is learned too. */
static int learn_live(struct cli *cli, struct policy **ret_policy, struct err *err)
{
        const char *name = cli_option(cli, "name");
        const char *firmware = cli_option(cli, "firmware-name");
        const struct collect_request request = {.scope = TCB_SCOPE_VM, .vm = cli_arg(cli, 0)};
        struct client AUTO_CLIENT *client = NULL;
        struct evidence AUTO_EVIDENCE *evidence = NULL;
        const struct golden_request golden = {
            .vm = request.vm,
            .name = name == NULL ? "guest" : name,
            .firmware = firmware == NULL ? "firmware" : firmware,
        };
        uint8_t nonce[CHALLENGE_NONCE_SIZE];
        int rc = client_open(cli, &client, err);

        if (rc == 0)
                rc = collect_evidence(client, &request, &evidence, nonce, err);
        if (rc == 0)
                rc = golden_learn(evidence, &golden, ret_policy, err);
        return rc;
}

static int run_learn(struct cli *cli, struct err *err)
{
        struct folder CLEANUP(folder_done) folder = {.nonce_len = 0};
        struct policy AUTO_POLICY *policy = NULL;
        const char *dir = cli_option(cli, "from");
        int rc;

        if ((cli_arg(cli, 0) != NULL) == (dir != NULL))
                return err_set(err, ERR_USAGE, "give one of VM and --from DIR");
        if (dir == NULL) {
                rc = learn_live(cli, &policy, err);
                return rc != 0 ? rc : put_policy(cli, policy, err);
        }
        rc = folder_load(&folder, dir, err);
        if (rc == 0)
                rc = learn_folder(cli, &folder, &policy, err);
        return rc != 0 ? rc : put_policy(cli, policy, err);
}

/* ---- check ---------------------------------------------------------------------------------- */

static int read_policy(const char *path, struct policy **ret_policy, struct err *err)
{
        uint8_t AUTO_FREE *text = NULL;
        size_t len = 0;
        int rc = fs_read_file(path, POLICY_SIZE_MAX, &text, &len, err);

        if (rc != 0)
                return rc;
        rc = policy_from_json((struct bytes){text, len}, ret_policy, err);
        return rc != 0 ? err_wrap(err, "%s", path) : 0;
}

static void print_policy(struct cli *cli, const struct policy *policy)
{
        cli_print(cli, "policy %s, bank %s, verdicts live %u s\n", policy->name, policy->bank->name,
                  policy->max_age);
        for (size_t i = 0; i < policy->firmware_count; i++)
                cli_print(cli, "firmware      profile %s\n", policy->firmware[i].name);
        for (size_t i = 0; i < policy->applications.count; i++)
                cli_print(cli, "application   %s, %zu digests\n",
                          policy->applications.entries[i].name,
                          policy->applications.entries[i].count);
        for (size_t i = 0; i < policy->grub_commands.count; i++)
                cli_print(cli, "GRUB          %s\n", policy->grub_commands.items[i]);
        for (size_t i = 0; i < policy->command_lines.count; i++)
                cli_print(cli, "command line  %s\n", policy->command_lines.items[i]);
        for (size_t i = 0; i < policy->files.count; i++)
                cli_print(cli, "%-12s  %s, %zu digests\n",
                          policy_component_name(policy->files.entries[i].component),
                          policy->files.entries[i].name, policy->files.entries[i].count);
        if (policy->has_ima)
                cli_print(cli, "programs      %zu\n", policy->ima.count);
        else
                cli_print(cli, "programs      not checked\n");
        for (size_t i = 0; i < policy->host.count; i++)
                cli_print(cli, "host          %s, %zu digests\n", policy->host.entries[i].name,
                          policy->host.entries[i].count);
        if (policy->host_boot != NULL)
                cli_print(cli,
                          "host's boot   %zu firmware profiles, %zu command lines, %zu files, %zu "
                          "programs\n",
                          policy->host_boot->firmware_count, policy->host_boot->command_lines.count,
                          policy->host_boot->files.count, policy->host_boot->ima.count);
        if (policy_is_empty(policy))
                cli_print(cli, "It names nothing, so it accepts nothing.\n");
        else if (policy->firmware_count == 0)
                cli_print(cli, "Without a firmware profile it accepts no guest.\n");
}

static int run_check(struct cli *cli, struct err *err)
{
        struct policy AUTO_POLICY *policy = NULL;
        int rc = read_policy(cli_arg(cli, 0), &policy, err);

        if (rc != 0)
                return rc;
        if (cli->format == CLI_JSON)
                return cli_print_json(cli,
                                      json_pack("{s:s, s:s, s:b, s:I, s:I, s:I, s:I}", "name",
                                                policy->name, "bank", policy->bank->name, "empty",
                                                policy_is_empty(policy), "firmware",
                                                (json_int_t)policy->firmware_count, "files",
                                                (json_int_t)policy->files.count, "programs",
                                                (json_int_t)policy->ima.count, "host",
                                                (json_int_t)policy->host.count),
                                      err);
        print_policy(cli, policy);
        return 0;
}

/* ---- explain -------------------------------------------------------------------------------- */

/* The claims of a token; its signature is not checked, since nothing is decided here. */
static json_t *read_token(struct bytes text)
{
        const uint8_t *dot = memchr(text.data, '.', text.len);
        const uint8_t *end;
        struct writer AUTO_WRITER w = {0};
        struct bytes claims;

        writer_init(&w, VERDICT_MAX);
        if (dot == NULL)
                return NULL;
        dot++;
        end = memchr(dot, '.', text.len - (size_t)(dot - text.data));
        if (end == NULL || base64url_decode((struct bytes){dot, (size_t)(end - dot)}, &w) != 0 ||
            writer_check(&w) != 0)
                return NULL;
        claims = writer_bytes(&w);
        return json_loadb((const char *)claims.data, claims.len, JSON_REJECT_DUPLICATES, NULL);
}

static int read_verdict(const char *path, json_t **ret_verdict, struct err *err)
{
        uint8_t AUTO_FREE *text = NULL;
        size_t len = 0;
        json_t *root;
        int rc = fs_read_file(path, VERDICT_MAX, &text, &len, err);

        if (rc != 0)
                return rc;
        root = json_loadb((const char *)text, len, JSON_REJECT_DUPLICATES, NULL);
        if (root == NULL)
                root = read_token((struct bytes){text, len});
        /* Without a list of reasons it says nothing, which must not read as nothing wrong. */
        if (!json_is_array(json_object_get(root, "reasons")) &&
            !json_is_object(json_object_get(root, "submods"))) {
                json_decref(root);
                return err_set(err, ERR_MALFORMED, "%s: neither a verdict in JSON nor a token",
                               path);
        }
        *ret_verdict = root;
        return 0;
}

/* Collects {machine, id, severity, text, meaning} of one list of reasons. */
static void take_reasons(json_t *list, const char *machine, json_t *out)
{
        for (size_t i = 0; i < json_array_size(list); i++) {
                json_t *item = json_array_get(list, i);
                const char *own = json_string_value(json_object_get(item, "machine"));
                const char *id = json_string_value(json_object_get(item, "id"));
                const char *help = id == NULL ? NULL : reason_help(id);
                const char *severity = json_string_value(json_object_get(item, "severity"));
                const char *text = json_string_value(json_object_get(item, "text"));

                if (id == NULL)
                        continue;
                (void)json_array_append_new(
                    out,
                    json_pack("{s:s?, s:s, s:s?, s:s?, s:s}", "machine",
                              own != NULL ? own : machine, "id", id, "severity", severity, "text",
                              text, "meaning", help == NULL ? "not an id of this version" : help));
        }
}

static json_t *collect(json_t *verdict)
{
        json_t *out = json_array();
        const char *name;
        json_t *submod;

        take_reasons(json_object_get(verdict, "reasons"), NULL, out);
        if (json_array_size(out) == 0)
                json_object_foreach(json_object_get(verdict, "submods"), name, submod)
                {
                        take_reasons(json_object_get(submod, EAR_REASONS), name, out);
                }
        return out;
}

static const char *text_of(json_t *item, const char *key)
{
        const char *text = json_string_value(json_object_get(item, key));

        return text == NULL ? "" : text;
}

static int run_explain(struct cli *cli, struct err *err)
{
        json_t *verdict = NULL;
        json_t *list;
        int rc = read_verdict(cli_arg(cli, 0), &verdict, err);

        if (rc != 0)
                return rc;
        list = collect(verdict);
        json_decref(verdict);
        if (cli->format == CLI_JSON)
                return cli_print_json(cli, json_pack("{s:o}", "reasons", list), err);
        for (size_t i = 0; i < json_array_size(list); i++) {
                json_t *item = json_array_get(list, i);

                cli_print(cli, "%s%s%s (%s): %s\n    %s\n", text_of(item, "machine"),
                          text_of(item, "machine")[0] == '\0' ? "" : ": ", text_of(item, "id"),
                          text_of(item, "severity"), text_of(item, "text"),
                          text_of(item, "meaning"));
        }
        if (json_array_size(list) == 0)
                cli_print(cli, "The verdict gives no reasons: nothing was found wrong.\n");
        json_decref(list);
        return 0;
}

const struct cli_verb cli_policy_verbs[] = {
    {"policy", "learn", "[VM]", "take the reference values of a golden boot",
     "Reads a folder with quote.attest, quote.sig, ak.pub, nonce.hex, binary_bios_measurements "
     "and, where they exist, binary_runtime_measurements and ek.pub, such as the folder of one VM "
     "in saved evidence. The quote must hold and the logs must explain it; a boot that does not "
     "measure its kernel teaches nothing (6).",
     learn_options, run_learn},
    {"policy", "check", "POLICY", "read a policy and say what it accepts", NULL, NULL, run_check},
    {"policy", "explain", "VERDICT", "say in words what a verdict means",
     "Takes a saved verdict in JSON or an EAR token; the token's signature is not checked.", NULL,
     run_explain},
    {0},
};
