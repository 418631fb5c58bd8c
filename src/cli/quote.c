/*
 * catena quote verify: one raw quote with what explains it, from files alone.
 */
#include <string.h>

#include "base/fs.h"
#include "base/hex.h"
#include "cli/output.h"
#include "cli/verdict.h"
#include "evlog/appraise.h"

#define INPUT_MAX (64U << 20) /* bytes of any file that is read here */
#define NONCE_MAX 128

static const struct cli_option verify_options[] = {
    {"attest", 'a', "FILE", "the quote: TPMS_ATTEST", CLI_REQUIRED},
    {"signature", 's', "FILE", "its signature: TPMT_SIGNATURE", CLI_REQUIRED},
    {"key", 'k', "FILE", "attestation key: TPM2B_PUBLIC, TPMT_PUBLIC or PEM", CLI_REQUIRED},
    {"nonce", 'n', "HEX", "the qualifying data that the quote must carry", CLI_REQUIRED},
    {"pcrs", 0, "FILE", "PCR values: {\"sha256\":{\"0\":\"hex\"}}", 0},
    {"evlog", 'e', "FILE", "TCG event log that must explain the quote", 0},
    {"ima", 'i', "FILE", "IMA log that must explain PCR 10", 0},
    {"ek", 0, "FILE", "public area of the EK, to check the signer's qualified name", 0},
    {"policy", 'p', "FILE", "reference values to compare with", 0},
    {0},
};

enum input { ATTEST, SIGNATURE, KEY, PCRS, EVLOG, IMA, EK, POLICY, INPUT_COUNT };
static const char *const input_options[INPUT_COUNT] = {"attest", "signature", "key", "pcrs",
                                                       "evlog",  "ima",       "ek",  "policy"};

struct inputs {
        uint8_t *memory[INPUT_COUNT];
        struct bytes bytes[INPUT_COUNT];
        bool given[INPUT_COUNT];
        uint8_t nonce[NONCE_MAX];
        size_t nonce_len;
        struct pcr_values values[HASH_ALG_COUNT];
        size_t n_values;
        struct policy *policy;
};

static void inputs_free(struct inputs *inputs)
{
        if (inputs == NULL)
                return;
        for (size_t i = 0; i < INPUT_COUNT; i++)
                free(inputs->memory[i]);
        policy_free(inputs->policy);
        free(inputs);
}
DEFINE_CLEANUP(struct inputs *, inputs_free)

/* A file that cannot be read is exit code 1 whatever the reason: it says nothing of trust. */
static int read_input(const struct cli *cli, struct inputs *inputs, size_t which, struct err *err)
{
        const char *path = cli_option(cli, input_options[which]);
        struct err read_err = {0};

        if (path == NULL)
                return 0;
        inputs->given[which] = true;
        if (fs_read_file(path, INPUT_MAX, &inputs->memory[which], &inputs->bytes[which].len,
                         &read_err) != 0)
                return err_set(err, ERR_IO, "--%s: %s", input_options[which], read_err.text);
        inputs->bytes[which].data = inputs->memory[which];
        return 0;
}

static int read_bank(struct inputs *inputs, const char *name, json_t *bank)
{
        struct pcr_values *values = &inputs->values[inputs->n_values];
        const char *key;
        json_t *value;

        if (inputs->n_values == HASH_ALG_COUNT || !json_is_object(bank))
                return ERR_MALFORMED;
        *values = (struct pcr_values){.alg = hash_by_name(name)};
        if (values->alg == NULL)
                return ERR_MALFORMED;
        json_object_foreach(bank, key, value)
        {
                const char *text = json_string_value(value);
                size_t len = strlen(key);
                unsigned pcr;

                if (text == NULL || len == 0 || len > 2 || strspn(key, "0123456789") != len ||
                    (len == 2 && key[0] == '0'))
                        return ERR_MALFORMED;
                pcr = (unsigned)strtoul(key, NULL, 10);
                if (pcr >= TPM_PCR_COUNT ||
                    hex_decode(text, strlen(text), values->values[pcr], values->alg->size, &len) !=
                        0 ||
                    len != values->alg->size)
                        return ERR_MALFORMED;
                values->mask |= UINT32_C(1) << pcr;
        }
        if (values->mask != 0)
                inputs->n_values++;
        return 0;
}

/* PCR values are evidence: what is wrong with them is a reason. */
static void read_pcrs(struct inputs *inputs, struct reasons *reasons)
{
        json_error_t error;
        json_t *root;
        const char *name;
        json_t *bank;
        int rc = 0;

        if (!inputs->given[PCRS])
                return;
        root = json_loadb((const char *)inputs->bytes[PCRS].data, inputs->bytes[PCRS].len,
                          JSON_REJECT_DUPLICATES, &error);
        if (!json_is_object(root))
                rc = ERR_MALFORMED;
        json_object_foreach(root, name, bank)
        {
                if (rc == 0)
                        rc = read_bank(inputs, name, bank);
        }
        json_decref(root);
        if (rc != 0 || inputs->n_values == 0)
                reasons_add(reasons, "pcrs.malformed", REASON_FAIL,
                            "the PCR values are not of the form {\"sha256\":{\"0\":\"hex\"}}");
}

static int read_inputs(const struct cli *cli, struct inputs *inputs, struct err *err)
{
        const char *nonce = cli_option(cli, "nonce");
        int rc = 0;

        if (hex_decode(nonce, strlen(nonce), inputs->nonce, sizeof(inputs->nonce),
                       &inputs->nonce_len) != 0)
                return err_set(err, ERR_USAGE, "--nonce is up to %d bytes in hexadecimal",
                               NONCE_MAX);
        for (size_t i = 0; rc == 0 && i < INPUT_COUNT; i++)
                rc = read_input(cli, inputs, i, err);
        if (rc == 0 && inputs->given[POLICY]) {
                rc = policy_from_json(inputs->bytes[POLICY], &inputs->policy, err);
                if (rc != 0)
                        return err_wrap(err, "%s", cli_option(cli, "policy"));
        }
        return rc;
}

/* A log that was named and is empty must not pass for one that was not named. */
static void refuse_empty(const struct inputs *inputs, struct reasons *reasons)
{
        if (inputs->given[EVLOG] && inputs->bytes[EVLOG].len == 0)
                reasons_add(reasons, "log.empty", REASON_FAIL, "the event log is empty");
        if (inputs->given[IMA] && inputs->bytes[IMA].len == 0)
                reasons_add(reasons, "ima.missing", REASON_FAIL, "the IMA log is empty");
        if (inputs->given[EK] && inputs->bytes[EK].len == 0)
                reasons_add(reasons, "key.malformed", REASON_FAIL, "the EK is empty");
}

static void judge(struct inputs *inputs, struct verdict *verdict)
{
        struct reasons early = {0};
        struct appraise_evidence evidence = {
            .key = inputs->bytes[KEY],
            .attest = inputs->bytes[ATTEST],
            .signature = inputs->bytes[SIGNATURE],
            .nonce = {inputs->nonce, inputs->nonce_len},
            .ek = inputs->bytes[EK],
            .tcg_log = inputs->bytes[EVLOG],
            .ima_log = inputs->bytes[IMA],
        };

        read_pcrs(inputs, &early);
        refuse_empty(inputs, &early);
        evidence.values = inputs->values;
        evidence.n_values = inputs->n_values;
        if (inputs->policy != NULL)
                appraise(&evidence, inputs->policy, verdict);
        else
                appraise_quote(&evidence, verdict);
        for (size_t i = 0; i < early.count; i++)
                reasons_add(&verdict->reasons, early.items[i].id, early.items[i].severity, "%s",
                            early.items[i].text);
        if (reasons_failed(&verdict->reasons))
                verdict->tier = VERDICT_CONTRAINDICATED;
}

static int run_verify(struct cli *cli, struct err *err)
{
        struct inputs CLEANUP(inputs_free_p) *inputs = calloc(1, sizeof(*inputs));
        struct verdict AUTO_FREE *verdict = calloc(1, sizeof(*verdict));
        int rc;

        if (inputs == NULL || verdict == NULL)
                return err_set(err, ERR_NO_MEMORY, "quote verify");
        rc = read_inputs(cli, inputs, err);
        if (rc != 0)
                return rc;
        judge(inputs, verdict);
        return verdict_print(cli, verdict, inputs->policy != NULL, err);
}

const struct cli_verb cli_quote_verbs[] = {
    {"quote", "verify", "", "check one quote of a TPM, from files alone",
     "Checks structure, signature, qualifying data, the key's attributes, PCR selection and clock, "
     "and that the PCR values or the logs are what was quoted; with --policy also that they are "
     "the policy's. Every failed check is listed by its id. Done (0) when nothing refuses, 6 when "
     "something does; malformed evidence refuses too.",
     verify_options, run_verify},
    {0},
};
