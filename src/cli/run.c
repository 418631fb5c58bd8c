#include "cli/run.h"

#include <stdio.h>

#include "cli/help.h"
#include "cli/output.h"
#include "cli/parse.h"

static int act(struct cli *cli, struct err *err)
{
        int r;

        if (cli->want_version) {
                (void)puts("catena " CATENA_VERSION);
                return 0;
        }
        if (cli->want_help) {
                cli_help(cli, stdout);
                return 0;
        }
        r = cli_catch_signals(err);
        return r < 0 ? r : cli->verb->run(cli, err);
}

int cli_run(const struct cli_verb *const *all, int argc, char *const *argv)
{
        static struct cli cli; /* too large for comfort on the stack */
        struct err err = {0};
        int r = cli_parse(&cli, all, argc, argv, &err);

        if (r == 0)
                r = act(&cli, &err);
        cli_progress_end(&cli);
        /* A verb that returns a code without words has printed its result already. */
        if (r < 0 && err.text[0] != '\0')
                cli_print_error(&cli, &err);
        if (fflush(stdout) != 0 || ferror(stdout)) {
                (void)fputs("catena: standard output: write failed\n", stderr);
                return r < 0 ? err_exit_code(r) : err_exit_code(ERR_IO);
        }
        return err_exit_code(r);
}
