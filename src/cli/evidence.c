/*
 * catena evidence verify: appraises saved evidence offline, by the server's own function.
 */
#include <string.h>
#include <time.h>

#include "base/fs.h"
#include "cli/output.h"
#include "verify/ear.h"
#include "verify/jwt.h"
#include "verify/report.h"

static const struct cli_option verify_options[] = {
    {"policy", 'p', "FILE", "reference values", CLI_REQUIRED},
    {"ca", 0, "FILE", "root certificate of the fleet's CA, PEM", CLI_REQUIRED},
    {"at", 0, "TIME", "appraise as of this time, such as 2026-01-31T12:00:00Z (default: now)", 0},
    {"ear", 0, "FILE", "write the verdict there as a signed token; needs --key", 0},
    {"key", 'k', "FILE", "private P-256 key in PEM that signs the token", 0},
    {0},
};

/* What was read from the command line's files. */
struct inputs {
        struct evidence *evidence;
        struct policy *policy;
        struct x509_list roots;
        int64_t now;
};

static void inputs_done(struct inputs *inputs)
{
        evidence_free(inputs->evidence);
        policy_free(inputs->policy);
        x509_list_done(&inputs->roots);
}

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

static int read_roots(const char *path, struct x509_list *ret_roots, struct err *err)
{
        uint8_t AUTO_FREE *pem = NULL;
        size_t len = 0;
        int rc = fs_read_file(path, X509_PEM_MAX, &pem, &len, err);

        if (rc != 0)
                return rc;
        rc = x509_list_from_pem((struct bytes){pem, len}, ret_roots, err);
        return rc != 0 ? err_wrap(err, "%s", path) : 0;
}

static int read_inputs(const struct cli *cli, struct inputs *inputs, struct err *err)
{
        const char *at = cli_option(cli, "at");
        int rc = 0;

        inputs->now = time(NULL);
        if (at != NULL && challenge_time_parse(at, &inputs->now, err) != 0)
                return err_set(err, ERR_USAGE, "--at reads like 2026-01-31T12:00:00Z");
        if ((cli_option(cli, "ear") == NULL) != (cli_option(cli, "key") == NULL))
                return err_set(err, ERR_USAGE, "--ear and --key go together");
        rc = read_policy(cli_option(cli, "policy"), &inputs->policy, err);
        if (rc == 0)
                rc = read_roots(cli_option(cli, "ca"), &inputs->roots, err);
        if (rc == 0)
                rc = evidence_load(cli_arg(cli, 0), &inputs->evidence, err);
        return rc;
}

static int write_ear(const struct cli *cli, const struct verify_result *result, struct err *err)
{
        const char *path = cli_option(cli, "ear");
        struct pkey AUTO_PKEY *key = NULL;
        char AUTO_FREE *token = NULL;
        int rc;

        if (path == NULL)
                return 0;
        rc = pkey_load_private(cli_option(cli, "key"), &key, err);
        if (rc == 0)
                rc = ear_sign(result, key, &token, err);
        return rc != 0 ? rc : fs_write_file(path, token, strlen(token), 0644, err);
}

static int print_result(struct cli *cli, const struct verify_result *result, struct err *err)
{
        struct writer AUTO_WRITER w;
        json_t *json = NULL;
        int rc;

        if (cli->format == CLI_JSON) {
                rc = report_to_json(result, &json, err);
                return rc != 0 ? rc : cli_print_json(cli, json, err);
        }
        writer_init(&w, REPORT_SIZE_MAX);
        report_put(&w, result);
        writer_put_u8(&w, '\0');
        if (writer_check(&w) != 0)
                return err_set(err, ERR_LIMIT, "the report is too long");
        cli_print(cli, "%s", (const char *)w.data);
        return 0;
}

static int run_verify(struct cli *cli, struct err *err)
{
        struct inputs CLEANUP(inputs_done) inputs = {.evidence = NULL};
        struct verify_result AUTO_VERIFY_RESULT *result = NULL;
        struct verify_request request;
        int rc = read_inputs(cli, &inputs, err);

        if (rc != 0)
                return rc;
        request = (struct verify_request){.evidence = inputs.evidence,
                                          .policy = inputs.policy,
                                          .roots = &inputs.roots,
                                          .now = inputs.now};
        rc = verify_evidence(&request, &result, err);
        if (rc == 0)
                rc = write_ear(cli, result, err);
        if (rc == 0)
                rc = print_result(cli, result, err);
        if (rc == 0 && result->tier != VERIFY_AFFIRMING && result->tier != VERIFY_WARNING)
                rc = err_set(err, ERR_NOT_TRUSTED, "the evidence is refused");
        return rc;
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
