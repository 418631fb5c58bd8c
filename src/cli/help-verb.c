/*
 * catena help: the same as --help, and the generated reference.
 */
#include <string.h>

#include "cli/help.h"
#include "cli/output.h"
#include "cli/parse.h"
#include "cli/reference.h"

static const struct cli_option help_options[] = {
    {"man", 0, NULL, "print catena(1)", 0},
    {"markdown", 0, NULL, "print the reference as Markdown", 0},
    {"completion", 0, "bash|zsh", "print a completion script", 0},
    {0},
};

static int explain(struct cli *cli, struct err *err)
{
        char name[] = "catena";
        char help[] = "--help";
        char *argv[4] = {name, NULL, NULL, NULL};
        struct cli asked;
        int argc = 1;
        int r;

        for (size_t i = 0; i < cli->n_args; i++)
                argv[argc++] = (char *)(uintptr_t)cli->args[i]; /* argv is not const by custom */
        argv[argc++] = help;
        r = cli_parse(&asked, cli->all, argc, argv, err);
        if (r < 0)
                return r;
        cli_help(&asked, stdout);
        return 0;
}

static json_t *options_to_json(const struct cli_option *options)
{
        json_t *array = json_array();

        for (const struct cli_option *o = options; o != NULL && o->name != NULL; o++)
                if (json_array_append_new(
                        array, json_pack("{s:s,s:s?,s:s,s:b,s:b}", "name", o->name, "argument",
                                         o->argument, "help", o->help, "required",
                                         (o->flags & CLI_REQUIRED) != 0, "repeated",
                                         (o->flags & CLI_REPEATED) != 0)) < 0) {
                        json_decref(array);
                        return NULL;
                }
        return array;
}

static int list_as_json(struct cli *cli, struct err *err)
{
        json_t *array = json_array();

        for (const struct cli_verb *v = cli_next_verb(cli->all, NULL); v != NULL;
             v = cli_next_verb(cli->all, v))
                if (json_array_append_new(array, json_pack("{s:s,s:s,s:s,s:s,s:o}", "noun", v->noun,
                                                           "verb", v->verb, "arguments",
                                                           v->arguments, "help", v->help, "options",
                                                           options_to_json(v->options))) < 0) {
                        json_decref(array);
                        return err_set(err, ERR_NO_MEMORY, "list the commands");
                }
        return cli_print_json(cli, json_pack("{s:o}", "commands", array), err);
}

static int run_help(struct cli *cli, struct err *err)
{
        const char *shell = cli_option(cli, "completion");

        if (cli_switch(cli, "man"))
                cli_reference_man(cli->all, stdout);
        else if (cli_switch(cli, "markdown"))
                cli_reference_markdown(cli->all, stdout);
        else if (shell != NULL && strcmp(shell, "bash") == 0)
                cli_reference_bash(cli->all, stdout);
        else if (shell != NULL && strcmp(shell, "zsh") == 0)
                cli_reference_zsh(cli->all, stdout);
        else if (shell != NULL)
                return err_set(err, ERR_USAGE, "--completion is bash or zsh, not \"%s\"", shell);
        else if (cli->format == CLI_JSON)
                return list_as_json(cli, err);
        else
                return explain(cli, err);
        return 0;
}

const struct cli_verb cli_help_verbs[] = {
    {"help", "", "[NOUN] [VERB]", "explain a command, or print the reference",
     "With -f json prints every command with its arguments and options.", help_options, run_help},
    {0},
};
