#include "cli/help.h"

#include <string.h>

#include "cli/parse.h"

#define SYNOPSIS_MAX 160
#define WRAP_COLUMN  78
#define OPTION_WIDTH 24

void cli_synopsis(const struct cli_verb *verb, char *out, size_t size)
{
        (void)snprintf(out, size, "%s%s%s%s%s", verb->noun, verb->verb[0] == '\0' ? "" : " ",
                       verb->verb, verb->arguments[0] == '\0' ? "" : " ", verb->arguments);
}

const struct cli_verb *cli_next_verb(const struct cli_verb *const *all,
                                     const struct cli_verb *previous)
{
        bool found = previous == NULL;

        for (size_t i = 0; all[i] != NULL; i++)
                for (const struct cli_verb *v = all[i]; v->noun != NULL; v++) {
                        if (found)
                                return v;
                        found = v == previous;
                }
        return NULL;
}

static void print_wrapped(FILE *to, const char *text)
{
        size_t column = 0;

        while (*text != '\0') {
                size_t len = strcspn(text, " \n");

                if (column > 0 && column + 1 + len > WRAP_COLUMN) {
                        (void)fputc('\n', to);
                        column = 0;
                }
                (void)fprintf(to, "%s%.*s", column > 0 ? " " : "", (int)len, text);
                column += len + (column > 0 ? 1 : 0);
                text += len;
                if (*text == '\n') {
                        (void)fputc('\n', to);
                        column = 0;
                }
                if (*text != '\0')
                        text++;
        }
        if (column > 0)
                (void)fputc('\n', to);
}

static void print_options(FILE *to, const struct cli_option *options)
{
        for (const struct cli_option *o = options; o != NULL && o->name != NULL; o++) {
                char left[SYNOPSIS_MAX];
                char letter[] = {'-', o->letter, ',', ' ', '\0'};

                (void)snprintf(left, sizeof(left), "%s--%s%s%s", o->letter == 0 ? "    " : letter,
                               o->name, o->argument == NULL ? "" : " ",
                               o->argument == NULL ? "" : o->argument);
                (void)fprintf(to, "  %-*s  %s%s%s\n", OPTION_WIDTH, left, o->help,
                              (o->flags & CLI_REQUIRED) != 0 ? " (required)" : "",
                              (o->flags & CLI_REPEATED) != 0 ? " (may be repeated)" : "");
        }
}

static void help_verb(const struct cli_verb *verb, FILE *to)
{
        char synopsis[SYNOPSIS_MAX];

        cli_synopsis(verb, synopsis, sizeof(synopsis));
        (void)fprintf(to, "usage: catena %s [OPTIONS]\n\n%s\n", synopsis, verb->help);
        if (verb->details != NULL) {
                (void)fputc('\n', to);
                print_wrapped(to, verb->details);
        }
        (void)fputs("\nOptions:\n", to);
        print_options(to, verb->options);
        print_options(to, cli_common_options);
}

/* The rows of one noun, or of all where it is NULL. */
static void list_verbs(const struct cli *cli, const char *noun, FILE *to)
{
        size_t width = 0;

        for (int pass = 0; pass < 2; pass++)
                for (const struct cli_verb *v = cli_next_verb(cli->all, NULL); v != NULL;
                     v = cli_next_verb(cli->all, v)) {
                        char synopsis[SYNOPSIS_MAX];

                        if (noun != NULL && strcmp(noun, v->noun) != 0)
                                continue;
                        cli_synopsis(v, synopsis, sizeof(synopsis));
                        if (pass == 1)
                                (void)fprintf(to, "  %-*s  %s\n", (int)width, synopsis, v->help);
                        else if (strlen(synopsis) > width)
                                width = strlen(synopsis);
                }
}

void cli_help(const struct cli *cli, FILE *to)
{
        if (cli->verb != NULL) {
                help_verb(cli->verb, to);
                return;
        }
        if (cli->help_noun != NULL) {
                (void)fprintf(to, "usage: catena %s VERB [ARGUMENTS] [OPTIONS]\n\n",
                              cli->help_noun);
                list_verbs(cli, cli->help_noun, to);
                (void)fprintf(to, "\n\"catena %s VERB --help\" explains a verb.\n", cli->help_noun);
                return;
        }
        (void)fputs("usage: catena COMMAND [ARGUMENTS] [OPTIONS]\n\n", to);
        list_verbs(cli, NULL, to);
        (void)fputs("\nOptions of every command:\n", to);
        print_options(to, cli_common_options);
        (void)fputs("      --version             print the version\n\n"
                    "\"catena COMMAND --help\" explains a command.\n",
                    to);
}
