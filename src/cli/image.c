/*
 * catena image: guest images.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/output.h"
#include "cli/program.h"
#include "image/image.h"

#define PROGRAMS_MAX 64

static const struct cli_option build_options[] = {
    {"out", 'o', "FILE", "disk to write (default guest.img); the manifest goes beside it", 0},
    {"agent", 0, "PATH", "the guest's agent (default: catena-agent beside this program)", 0},
    {"kernel", 0, "DIR", "an unpacked kernel package (default: Debian's cloud kernel, by apt)", 0},
    {"cmdline", 0, "TEXT", "the kernel's command line", 0},
    {"program", 0, "PATH", "a program for the guest to run (default: a few of coreutils)",
     CLI_REPEATED},
    {"cache", 0, "DIR", "where downloads stay (default: ~/.cache/catena)", 0},
    {0},
};

static void say(void *user, const char *what)
{
        cli_progress(user, "%s", what);
}

static int run_build_guest(struct cli *cli, struct err *err)
{
        const char *programs[PROGRAMS_MAX + 1] = {NULL};
        const struct image_progress progress = {.say = say, .user = cli};
        char agent[PATH_MAX];
        struct image_request request = {
            .out = cli_option(cli, "out"),
            .agent = cli_option(cli, "agent"),
            .kernel_dir = cli_option(cli, "kernel"),
            .cache = cli_option(cli, "cache"),
            .cmdline = cli_option(cli, "cmdline"),
            .progress = &progress,
        };
        int rc = 0;

        if (request.out == NULL)
                request.out = "guest.img";
        if (request.agent == NULL) {
                rc = program_path("catena-agent", agent, err);
                request.agent = agent;
        }
        for (size_t i = 0; i < PROGRAMS_MAX; i++)
                programs[i] = cli_option_at(cli, "program", i);
        if (programs[0] != NULL)
                request.programs = programs;
        if (rc == 0)
                rc = image_build(&request, err);
        cli_progress_end(cli);
        if (rc < 0)
                return rc;
        if (cli->format == CLI_JSON)
                return cli_print_json(cli,
                                      json_pack("{s:s, s:s+}", "image", request.out, "manifest",
                                                request.out, IMAGE_MANIFEST_SUFFIX),
                                      err);
        cli_print(cli, "%s\n", request.out);
        return 0;
}

static const struct cli_option tamper_options[] = {
    {"part", 'p', "NAME", "grub, kernel, cmdline or initrd", CLI_REQUIRED},
    {"out", 'o', "FILE", "disk to write", CLI_REQUIRED},
    {0},
};

static int run_tamper(struct cli *cli, struct err *err)
{
        const char *part = cli_option(cli, "part");
        const char *out = cli_option(cli, "out");

        for (int i = 0; i < IMAGE_TAMPERS; i++) {
                int rc;

                if (strcmp(part, image_tamper_name((enum image_tamper)i)) != 0)
                        continue;
                rc = image_tamper(cli_arg(cli, 0), out, (enum image_tamper)i, err);
                if (rc < 0)
                        return rc;
                if (cli->format == CLI_JSON)
                        return cli_print_json(
                            cli, json_pack("{s:s, s:s}", "image", out, "tampered", part), err);
                cli_print(cli, "%s\n", out);
                return 0;
        }
        return err_set(err, ERR_USAGE, "--part %s: not one of grub, kernel, cmdline, initrd", part);
}

const struct cli_verb cli_image_verbs[] = {
    {"image", "build-guest", "", "builds a measured guest from Debian packages",
     "Makes an EFI disk that boots OVMF, GRUB, Debian's cloud kernel and an initramfs with IMA on; "
     "equal inputs give equal bytes. The manifest beside it says what is in it and what its boot "
     "measures: see catena policy predict.",
     build_options, run_build_guest},
    {"image", "tamper", "IMAGE", "copies a guest image with one part changed",
     "For demonstrations and tests: the copy boots, and appraisal must name what was changed.",
     tamper_options, run_tamper},
    {0},
};
