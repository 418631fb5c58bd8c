/* catena attest: one challenge, one verdict. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/fs.h"
#include "cli/appraisal.h"
#include "cli/collect.h"
#include "cli/output.h"

static const struct cli_option options[] = {
    {"all", 'a', NULL, "the host and every VM on it", 0},
    {"host", 0, "NAME", "the host alone, by the name that its certificate must have", 0},
    {"policy", 'p', "FILE", "reference values (default: STATE/policy.json)", 0},
    {"ca", 0, "FILE", "root certificate of the fleet's CA (default: STATE/ca/ca.crt)", 0},
    {"save", 's', "DIR", "keep the evidence there", 0},
    {"ear", 0, "FILE", "write the verdict there as a signed token; needs --key", 0},
    {"key", 'k', "FILE", "private P-256 key in PEM that signs the token", 0},
    {0},
};

/* Exactly one of VM, --host and --all. */
static int choose_scope(const struct cli *cli, struct collect_request *ret, struct err *err)
{
        const char *vm = cli_arg(cli, 0);
        const char *host = cli_option(cli, "host");
        bool all = cli_switch(cli, "all");

        if ((vm != NULL) + (host != NULL) + (all ? 1 : 0) != 1)
                return err_set(err, ERR_USAGE, "give one of VM, --host NAME and --all");
        if ((cli_option(cli, "ear") == NULL) != (cli_option(cli, "key") == NULL))
                return err_set(err, ERR_USAGE, "--ear and --key go together");
        *ret = (struct collect_request){
            .scope = all          ? TCB_SCOPE_ALL
                     : vm != NULL ? TCB_SCOPE_VM
                                  : TCB_SCOPE_HOST,
            .vm = vm,
            .host = host,
        };
        return 0;
}

static int load_inputs(const struct cli *cli, struct appraisal_inputs *inputs, struct err *err)
{
        const char *policy = cli_option(cli, "policy");
        const char *ca = cli_option(cli, "ca");
        char policy_path[CLI_STATE_MAX + 32];
        char ca_path[CLI_STATE_MAX + 32];

        if (fs_join(policy_path, sizeof(policy_path), cli->state, "policy.json", err) != 0 ||
            fs_join(ca_path, sizeof(ca_path), cli->state, "ca/ca.crt", err) != 0)
                return err->code;
        return appraisal_inputs_load(policy == NULL ? policy_path : policy,
                                     ca == NULL ? ca_path : ca, inputs, err);
}

static int run(struct cli *cli, struct err *err)
{
        struct appraisal_inputs CLEANUP(appraisal_inputs_done) inputs = {.policy = NULL};
        struct verify_result AUTO_VERIFY_RESULT *result = NULL;
        struct evidence AUTO_EVIDENCE *evidence = NULL;
        struct client AUTO_CLIENT *client = NULL;
        const char *save = cli_option(cli, "save");
        const char *ear = cli_option(cli, "ear");
        struct collect_request request;
        uint8_t nonce[CHALLENGE_NONCE_SIZE];

        if (choose_scope(cli, &request, err) != 0 || load_inputs(cli, &inputs, err) != 0 ||
            client_open(cli, &client, err) != 0)
                return err->code;
        cli_progress(cli, "waiting for the evidence");
        if (collect_evidence(client, &request, &evidence, nonce, err) != 0)
                return err->code;
        cli_progress_end(cli);
        if (save != NULL && evidence_save(evidence, save, err) != 0)
                return err->code;
        if (appraisal_run(evidence, &inputs, nonce, time(NULL), &result, err) != 0)
                return err->code;
        if (ear != NULL && appraisal_write_ear(result, cli_option(cli, "key"), ear, err) != 0)
                return err->code;
        if (appraisal_print(cli, result, err) != 0)
                return err->code;
        return appraisal_outcome(result, err);
}

const struct cli_verb cli_attest_verbs[] = {
    {"attest", "", "[VM]", "challenge a VM and its host, and give one verdict",
     "Done (0) when affirming, or warning with its reasons as on a software TPM; 6 when refused. "
     "What was not measured says so. A VM that is off proves nothing and is refused, with the "
     "host's word for it; so --all is done only while every VM of the host runs. The challenge is "
     "made for this one answer and forgotten with it, so no answer counts twice.",
     options, run},
    {0},
};
