#include "cli/appraisal.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "cli/output.h"
#include "verify/ear.h"
#include "verify/report.h"

static int read_policy(const char *path, struct policy **ret_policy, struct err *err)
{
        uint8_t AUTO_FREE *text = NULL;
        size_t len = 0;
        int rc = fs_read_file(path, POLICY_SIZE_MAX, &text, &len, err);

        if (rc == ERR_NOT_FOUND)
                return err_hint(err, "catena policy learn or catena policy predict makes one");
        if (rc != 0)
                return rc;
        rc = policy_from_json((struct bytes){text, len}, ret_policy, err);
        return rc != 0 ? err_wrap(err, "%s", path) : 0;
}

int appraisal_read_roots(const char *path, struct x509_list *ret_roots, struct err *err)
{
        uint8_t AUTO_FREE *pem = NULL;
        size_t len = 0;
        int rc = fs_read_file(path, X509_PEM_MAX, &pem, &len, err);

        if (rc != 0)
                return rc;
        rc = x509_list_from_pem((struct bytes){pem, len}, ret_roots, err);
        return rc != 0 ? err_wrap(err, "%s", path) : 0;
}

int appraisal_inputs_load(const char *policy, const char *ca, struct appraisal_inputs *ret_inputs,
                          struct err *err)
{
        struct appraisal_inputs inputs = {.policy = NULL};
        int rc = read_policy(policy, &inputs.policy, err);

        if (rc == 0)
                rc = appraisal_read_roots(ca, &inputs.roots, err);
        if (rc != 0) {
                appraisal_inputs_done(&inputs);
                return rc;
        }
        *ret_inputs = inputs;
        return 0;
}

void appraisal_inputs_done(struct appraisal_inputs *inputs)
{
        policy_free(inputs->policy);
        inputs->policy = NULL;
        x509_list_done(&inputs->roots);
}

int appraisal_run(const struct evidence *evidence, const struct appraisal_inputs *inputs,
                  const uint8_t *nonce, int64_t now, struct verify_result **ret_result,
                  struct err *err)
{
        const struct verify_request request = {.evidence = evidence,
                                               .policy = inputs->policy,
                                               .roots = &inputs->roots,
                                               .nonce = nonce,
                                               .now = now};

        return verify_evidence(&request, ret_result, err);
}

int appraisal_print(struct cli *cli, const struct verify_result *result, struct err *err)
{
        struct writer AUTO_WRITER w = {0};
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

int appraisal_write_ear(const struct verify_result *result, const char *key, const char *path,
                        struct err *err)
{
        struct pkey AUTO_PKEY *signer = NULL;
        char AUTO_FREE *token = NULL;
        int rc = pkey_load_private(key, &signer, err);

        if (rc == 0)
                rc = ear_sign(result, signer, &token, err);
        return rc != 0 ? rc : fs_write_file(path, token, strlen(token), 0644, err);
}

int appraisal_outcome(const struct verify_result *result, struct err *err)
{
        if (result->tier == VERIFY_AFFIRMING || result->tier == VERIFY_WARNING)
                return 0;
        return err_set(err, ERR_NOT_TRUSTED, "the evidence is refused");
}
