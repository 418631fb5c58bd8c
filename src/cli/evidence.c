/*
 * catena evidence verify: appraises saved evidence offline, by the server's own function.
 */
#include <time.h>

#include "cli/appraisal.h"

static const struct cli_option verify_options[] = {
    {"policy", 'p', "FILE", "reference values", CLI_REQUIRED},
    {"ca", 0, "FILE", "root certificate of the fleet's CA, PEM", CLI_REQUIRED},
    {"at", 0, "TIME", "appraise as of this time, such as 2026-01-31T12:00:00Z (default: now)", 0},
    {"ear", 0, "FILE", "write the verdict there as a signed token; needs --key", 0},
    {"key", 'k', "FILE", "private P-256 key in PEM that signs the token", 0},
    {0},
};

static int check_options(const struct cli *cli, int64_t *ret_now, struct err *err)
{
        const char *at = cli_option(cli, "at");

        *ret_now = time(NULL);
        if (at != NULL && challenge_time_parse(at, ret_now, err) != 0)
                return err_set(err, ERR_USAGE, "--at reads like 2026-01-31T12:00:00Z");
        if ((cli_option(cli, "ear") == NULL) != (cli_option(cli, "key") == NULL))
                return err_set(err, ERR_USAGE, "--ear and --key go together");
        return 0;
}

static int run_verify(struct cli *cli, struct err *err)
{
        struct appraisal_inputs CLEANUP(appraisal_inputs_done) inputs = {.policy = NULL};
        struct evidence AUTO_EVIDENCE *evidence = NULL;
        struct verify_result AUTO_VERIFY_RESULT *result = NULL;
        const char *ear = cli_option(cli, "ear");
        int64_t now;

        if (check_options(cli, &now, err) != 0 ||
            appraisal_inputs_load(cli_option(cli, "policy"), cli_option(cli, "ca"), &inputs, err) !=
                0 ||
            evidence_load(cli_arg(cli, 0), &evidence, err) != 0 ||
            appraisal_run(evidence, &inputs, NULL, now, &result, err) != 0)
                return err->code;
        if (ear != NULL && appraisal_write_ear(result, cli_option(cli, "key"), ear, err) != 0)
                return err->code;
        if (appraisal_print(cli, result, err) != 0)
                return err->code;
        return appraisal_outcome(result, err);
}

const struct cli_verb cli_evidence_verbs[] = {
    {"evidence", "verify", "DIR", "appraise saved evidence of a host and its VMs",
     "The same function as the verifier's: certificate of the host, its quote, the binding of "
     "each VM to host and challenge, then firmware, boot loader, kernel, command line, initrd and "
     "programs against the policy. Done (0) when affirming, or warning with its reasons as on a "
     "software TPM; 6 when refused.",
     verify_options, run_verify},
    {0},
};
