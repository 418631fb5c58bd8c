/*
 * From a prediction to the policy that accepts it; see predict.h.
 */
#include <string.h>

#include "image/predict.h"

static struct policy_digest to_digest(const uint8_t digest[PREDICT_DIGEST])
{
        struct policy_digest out = {.alg = hash_by_tpm_id(HASH_TPM_SHA256)};

        memcpy(out.data, digest, PREDICT_DIGEST);
        return out;
}

static int add_script(struct policy *policy, const struct grubscript *script, struct err *err)
{
        int rc = 0;

        for (size_t i = 0; rc == 0 && i < script->n; i++) {
                const struct grubscript_event *event = &script->event[i];

                if (event->kind == GRUBSCRIPT_COMMAND)
                        rc = policy_add_grub_command(policy, event->text, err);
                if (event->kind == GRUBSCRIPT_COMMAND_LINE)
                        rc = policy_add_command_line(policy, event->text, err);
        }
        return rc;
}

static int add_files(struct policy *policy, const struct prediction *prediction, struct err *err)
{
        int rc = 0;

        for (size_t i = 0; rc == 0 && i < prediction->n_files; i++) {
                const struct predict_file *file = &prediction->file[i];
                struct policy_digest digest = to_digest(file->digest);

                rc = policy_add_file(policy, file->path,
                                     policy_classify_file(&policy->grub_commands, file->path),
                                     &digest, err);
        }
        for (size_t i = 0; rc == 0 && i < prediction->n_ima; i++) {
                struct policy_digest digest = to_digest(prediction->ima[i].digest);

                rc = policy_add_ima_file(policy, prediction->ima[i].path, &digest, err);
        }
        return rc;
}

static int add_profiles(struct policy *policy, const struct policy *profile, struct err *err)
{
        int rc = 0;

        if (profile == NULL)
                return 0;
        if (profile->bank != policy->bank)
                return err_set(err, ERR_UNSUPPORTED, "firmware profile: in bank %s, not %s",
                               profile->bank->name, policy->bank->name);
        for (size_t i = 0; rc == 0 && i < profile->firmware_count; i++)
                rc = policy_add_firmware(policy, &profile->firmware[i], err);
        return rc;
}

int predict_policy(const struct prediction *prediction, const char *name,
                   const struct policy *profile, struct policy **ret_policy, struct err *err)
{
        struct policy_digest loader = to_digest(prediction->loader);
        AUTO_POLICY struct policy *policy = NULL;
        int rc;

        rc = policy_new(name, loader.alg, &policy, err);
        if (rc == 0)
                rc = add_profiles(policy, profile, err);
        if (rc == 0)
                rc = policy_add_application(policy, POLICY_BOOT_LOADER, &loader, err);
        if (rc == 0)
                rc = add_script(policy, &prediction->script, err);
        if (rc == 0)
                rc = add_files(policy, prediction, err);
        if (rc < 0)
                return err_wrap(err, "policy");
        policy->has_ima = true;
        *ret_policy = TAKE(policy);
        return 0;
}
