/*
 * What the verbs that give a verdict share: reference values and roots from files, the appraisal,
 * and how it is shown.
 */
#ifndef CLI_APPRAISAL_H
#define CLI_APPRAISAL_H

#include "cli/cli.h"
#include "verify/verify.h"

struct appraisal_inputs {
        struct policy *policy;
        struct x509_list roots;
};

/* A file of certificates in PEM. */
int appraisal_read_roots(const char *path, struct x509_list *ret_roots, struct err *err) MUST_CHECK;

/* Reads both files. */
int appraisal_inputs_load(const char *policy, const char *ca, struct appraisal_inputs *ret_inputs,
                          struct err *err) MUST_CHECK;
void appraisal_inputs_done(struct appraisal_inputs *inputs);

/* Appraises as of now; nonce is that of the challenge, or NULL for the one in the evidence. */
int appraisal_run(const struct evidence *evidence, const struct appraisal_inputs *inputs,
                  const uint8_t *nonce, int64_t now, struct verify_result **ret_result,
                  struct err *err) MUST_CHECK;

/* The tree and the reasons, or the JSON of both. */
int appraisal_print(struct cli *cli, const struct verify_result *result,
                    struct err *err) MUST_CHECK;

/* Writes the verdict as a signed token (EAR) with the private key in this file. */
int appraisal_write_ear(const struct verify_result *result, const char *key, const char *path,
                        struct err *err) MUST_CHECK;

/* 0, or ERR_NOT_TRUSTED: what the exit code says. */
int appraisal_outcome(const struct verify_result *result, struct err *err) MUST_CHECK;

#endif
