/*
 * catena policy predict: the reference values of a guest image, before any boot.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/hex.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "image/predict.h"

static const struct cli_option predict_options[] = {
    {"firmware-profile", 0, "FILE", "a policy with learned firmware profiles, to take over", 0},
    {"name", 0, "NAME", "the policy's name (default: guest)", 0},
    {"out", 'o', "FILE", "write the policy here and print what was computed", 0},
    {0},
};

static int read_profile(const char *path, struct policy **ret_policy, struct err *err)
{
        struct policy *profile = NULL;
        uint8_t *text = NULL;
        size_t len = 0;
        int rc;

        rc = fs_read_file(path, POLICY_SIZE_MAX, &text, &len, err);
        if (rc == 0)
                rc = policy_from_json((struct bytes){text, len}, &profile, err);
        free(text);
        if (rc < 0 || profile == NULL)
                return err_wrap(err, "firmware profile %s", path);
        if (profile->firmware_count == 0) {
                policy_free(profile);
                return err_set(err, ERR_USAGE, "%s: holds no firmware profile", path);
        }
        *ret_policy = profile;
        return 0;
}

/* {"4": hex, "8": hex, "9": hex}; NULL with err set. */
static json_t *computed_pcrs(const struct prediction *prediction, struct err *err)
{
        static const unsigned pcrs[] = {PREDICT_PCR_LOADER, GRUBSCRIPT_PCR_TEXT,
                                        GRUBSCRIPT_PCR_FILE};
        uint8_t value[PREDICT_DIGEST];
        char hex[2 * PREDICT_DIGEST + 1];
        json_t *object = json_object();
        char name[8];

        for (size_t i = 0; i < ARRAY_SIZE(pcrs); i++) {
                if (predict_pcr(prediction, pcrs[i], value, err) < 0) {
                        json_decref(object);
                        return NULL;
                }
                (void)snprintf(name, sizeof(name), "%u", pcrs[i]);
                (void)json_object_set_new(object, name,
                                          json_string(hex_encode(value, sizeof(value), hex)));
        }
        return object;
}

static int print_summary(struct cli *cli, const struct prediction *prediction, const char *out,
                         struct err *err)
{
        json_t *pcrs = computed_pcrs(prediction, err);
        const char *name;
        json_t *value;

        if (pcrs == NULL)
                return err->code;
        if (cli->format == CLI_JSON)
                return cli_print_json(cli,
                                      json_pack("{s:s, s:{s:o}, s:I}", "policy", out, "banks",
                                                "sha256", pcrs, "measured_files",
                                                (json_int_t)prediction->n_ima),
                                      err);
        json_object_foreach(pcrs, name, value)
            cli_print(cli, "PCR %s  %s\n", name, json_string_value(value));
        cli_print(cli, "%zu measured files\n%s\n", prediction->n_ima, out);
        json_decref(pcrs);
        return 0;
}

static int run_predict(struct cli *cli, struct err *err)
{
        const char *profile_path = cli_option(cli, "firmware-profile");
        const char *out = cli_option(cli, "out");
        const char *name = cli_option(cli, "name");
        AUTO_FREE struct prediction *prediction = NULL;
        AUTO_POLICY struct policy *profile = NULL;
        AUTO_POLICY struct policy *policy = NULL;
        AUTO_FREE char *text = NULL;
        size_t len = 0;
        int rc;

        rc = predict_image(cli_arg(cli, 0), &prediction, err);
        if (rc == 0 && profile_path != NULL)
                rc = read_profile(profile_path, &profile, err);
        if (rc == 0)
                rc = predict_policy(prediction, name == NULL ? "guest" : name, profile, &policy,
                                    err);
        if (rc == 0)
                rc = policy_to_json(policy, &text, &len, err);
        if (rc < 0)
                return rc;
        if (profile_path == NULL)
                cli_note(cli, "no firmware profile: the policy says nothing of PCR 0 to 3 and "
                              "5 to 7 yet");
        if (out == NULL)
                return cli_print_json(cli, json_loadb(text, len, 0, NULL), err);
        rc = fs_write_file(out, text, len, 0644, err);
        return rc == 0 ? print_summary(cli, prediction, out, err) : rc;
}

const struct cli_verb cli_policy_predict_verbs[] = {
    {"policy", "predict", "IMAGE", "computes an image's reference values before any boot",
     "Computes PCR 4, 8 and 9 from GRUB, its configuration, kernel, initramfs and command line, "
     "and lists the files that the guest's kernel will measure (PCR 10). Firmware's PCRs 0 to 3 "
     "and 5 to 7 depend on the firmware build, machine type, memory, CPUs and boot devices: learn "
     "them once with policy learn and name that policy with --firmware-profile.",
     predict_options, run_predict},
    {0},
};
