/* swtpm_setup: what libvirt 9.0 and Proxmox give it, and what goes with that. */
#include <string.h>

#include "swtpm/command-line.h"

#define SETUP(member) offsetof(struct command_setup, member)
#define NO_TOOLS      "swtpm's programs and their configuration are not used"

static const struct options_row rows[] = {
    {.name = "--tpm-state",
     .kind = OPTIONS_TEXT,
     .offset = SETUP(state),
     .size = COMMAND_URI_MAX,
     .letters = "--tpmstate"},
    {.name = "--logfile", .kind = OPTIONS_TEXT, .offset = SETUP(logfile), .size = PATH_MAX},
    {.name = "--vmid", .kind = OPTIONS_TEXT, .offset = SETUP(vmid), .size = 256},
    {.name = "--pcr-banks", .kind = OPTIONS_TEXT, .offset = SETUP(pcr_banks), .size = 64},
    {.name = "--pwdfile", .kind = OPTIONS_TEXT, .offset = SETUP(pwdfile), .size = PATH_MAX},
    {.name = "--keyfile", .kind = OPTIONS_TEXT, .offset = SETUP(keyfile), .size = PATH_MAX},
    {.name = "--pwdfile-fd", .kind = OPTIONS_NUMBER, .offset = SETUP(pwdfile_fd)},
    {.name = "--keyfile-fd", .kind = OPTIONS_NUMBER, .offset = SETUP(keyfile_fd)},
    {.name = "--cipher",
     .kind = OPTIONS_CHOICE,
     .offset = SETUP(cipher),
     .size = 16,
     .choices = "aes-256-cbc"},
    {.name = "--runas", .kind = OPTIONS_TEXT, .offset = SETUP(runas), .size = 64},
    {.name = "--config",
     .kind = OPTIONS_TEXT,
     .offset = SETUP(config),
     .size = PATH_MAX,
     .note = NO_TOOLS},
    {.name = "--tpm",
     .kind = OPTIONS_TEXT,
     .offset = SETUP(tpm),
     .size = PATH_MAX,
     .note = NO_TOOLS},
    {.name = "--tpm2", .kind = OPTIONS_FLAG, .offset = SETUP(tpm2)},
    {.name = "--createek", .kind = OPTIONS_FLAG, .offset = SETUP(createek)},
    {.name = "--create-ek-cert", .kind = OPTIONS_FLAG, .offset = SETUP(create_ek_cert)},
    {.name = "--create-platform-cert",
     .kind = OPTIONS_FLAG,
     .offset = SETUP(create_platform_cert),
     .note = "no platform certificate is made: nobody here knows the platform"},
    {.name = "--lock-nvram", .kind = OPTIONS_FLAG, .offset = SETUP(lock_nvram)},
    {.name = "--ecc",
     .kind = OPTIONS_FLAG,
     .offset = SETUP(ecc),
     .note = "there is always an RSA and an ECC endorsement key"},
    {.name = "--overwrite", .kind = OPTIONS_FLAG, .offset = SETUP(overwrite)},
    {.name = "--not-overwrite", .kind = OPTIONS_FLAG, .offset = SETUP(not_overwrite)},
    {.name = "--reconfigure", .kind = OPTIONS_FLAG, .offset = SETUP(reconfigure)},
    {.name = "--print-capabilities", .kind = OPTIONS_FLAG, .offset = SETUP(print_capabilities)},
    {.name = "--version", .kind = OPTIONS_FLAG, .offset = SETUP(version)},
    {.name = "--help", .kind = OPTIONS_FLAG, .offset = SETUP(help), .letters = "-h"},
};

const struct options_table command_setup_table = {rows, ARRAY_SIZE(rows)};

void command_setup_defaults(struct command_setup *ret)
{
        memset(ret, 0, sizeof(*ret));
        ret->pwdfile_fd = -1;
        ret->keyfile_fd = -1;
}

static int check(const struct command_setup *setup, struct err *err)
{
        const int n_keys = (setup->pwdfile[0] != '\0') + (setup->keyfile[0] != '\0') +
                           (setup->pwdfile_fd >= 0) + (setup->keyfile_fd >= 0);

        if (!setup->tpm2)
                return err_set(err, ERR_USAGE, "--tpm2 is missing: there is no TPM 1.2 here");
        if (setup->state[0] == '\0')
                return err_set(err, ERR_USAGE, "--tpm-state is missing");
        if (n_keys > 1)
                return err_set(err, ERR_USAGE, "more than one key or passphrase");
        if (setup->overwrite + setup->not_overwrite + setup->reconfigure > 1)
                return err_set(err, ERR_USAGE,
                               "--overwrite, --not-overwrite and --reconfigure exclude each other");
        return 0;
}

int command_setup_parse(int argc, char *const *argv, struct command_setup *ret,
                        struct options_notes *ret_notes, struct err *err)
{
        int rc;

        command_setup_defaults(ret);
        rc = options_parse(&command_setup_table, argc, argv, ret, ret_notes, err);
        if (rc != 0 || ret->print_capabilities || ret->version || ret->help)
                return rc;
        return check(ret, err);
}
