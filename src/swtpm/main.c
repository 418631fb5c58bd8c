/*
 * catena-swtpm: called in swtpm's place by libvirt, Proxmox or Incus, under the names swtpm,
 * swtpm_setup and swtpm_ioctl (links in a directory of their own), or with one of those as its
 * first argument.
 */
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/log.h"
#include "swtpm/programs.h"

static const struct {
        const char *name;
        int (*run)(int argc, char *const *argv, struct err *err);
} programs[] = {
    {"swtpm", program_swtpm},   {"swtpm_setup", program_setup}, {"swtpm_ioctl", program_ioctl},
    {"import", program_import}, {"export", program_export},
};

static const char usage[] =
    "usage: catena-swtpm swtpm|swtpm_setup|swtpm_ioctl OPTIONS   as if called by that name\n"
    "       catena-swtpm import DIR [--pwdfile FILE]             take swtpm's state over\n"
    "       catena-swtpm export DIR [--pwdfile FILE]             and give it back\n"
    "See catena-swtpm(8); swtpm|swtpm_setup|swtpm_ioctl --help lists the options.\n";

static int call(const char *name, int argc, char *const *argv, struct err *err)
{
        const char *slash = strrchr(name, '/');

        if (slash != NULL)
                name = slash + 1;
        for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
                if (strcmp(programs[i].name, name) == 0)
                        return programs[i].run(argc, argv, err);
        return ERR_NOT_FOUND;
}

int main(int argc, char **argv)
{
        struct err err = {0};
        int rc = ERR_NOT_FOUND;

        log_init("catena-swtpm", LOG_LEVEL_INFO);
        /* Other processes of this user may neither trace nor dump one with a TPM's keys. */
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        if (argc > 0)
                rc = call(argv[0], argc - 1, argv + 1, &err);
        if (rc == ERR_NOT_FOUND && err.code == 0 && argc > 1)
                rc = call(argv[1], argc - 2, argv + 2, &err);
        if (rc == ERR_NOT_FOUND && err.code == 0 && argc == 2 && strcmp(argv[1], "--help") == 0) {
                (void)fputs(usage, stdout);
                return 0;
        }
        if (rc == ERR_NOT_FOUND && err.code == 0)
                rc = err_set(&err, ERR_USAGE,
                             "usage: catena-swtpm swtpm|swtpm_setup|swtpm_ioctl|import|export ... "
                             "(or --help)");
        if (rc == 0)
                return 0;
        (void)fprintf(stderr, "catena-swtpm: %s\n", err.text);
        if (err.hint[0] != '\0')
                (void)fprintf(stderr, "  %s\n", err.hint);
        return 1;
}
