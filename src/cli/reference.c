#include "cli/reference.h"

#include <string.h>

#include "cli/help.h"
#include "cli/parse.h"

#define SYNOPSIS_MAX 160

/* Exit codes by their number, from the table of errors; several errors may share one. */
static const struct exit_row {
        const char *text;
        int code;
} exit_rows[] = {
#define ERR_ROW(name, exit, text) {text, exit},
#include "base/err.def"
#undef ERR_ROW
};

#define EXIT_CODE_MAX 9

static void exit_text(int code, char *out, size_t size)
{
        size_t len = 0;

        out[0] = '\0';
        for (size_t i = 0; i < ARRAY_SIZE(exit_rows); i++)
                if (exit_rows[i].code == code && len < size)
                        len += (size_t)snprintf(out + len, size - len, "%s%s", len == 0 ? "" : ", ",
                                                exit_rows[i].text);
}

/* man(7): a backslash and a '-' are escaped, a leading '.' or '\'' is kept from being a request. */
static void man_text(FILE *to, const char *text)
{
        bool start = true;

        for (; *text != '\0'; text++) {
                if (start && (*text == '.' || *text == '\''))
                        (void)fputs("\\&", to);
                start = *text == '\n';
                if (*text == '\\')
                        (void)fputs("\\e", to);
                else if (*text == '-')
                        (void)fputs("\\-", to);
                else if (text[0] == '\n' && text[1] == '\n')
                        (void)fputs("\n.PP", to);
                else
                        (void)fputc(*text, to);
        }
        (void)fputc('\n', to);
}

static void man_options(FILE *to, const struct cli_option *options)
{
        for (const struct cli_option *o = options; o != NULL && o->name != NULL; o++) {
                (void)fputs(".TP\n", to);
                if (o->letter != 0)
                        (void)fprintf(to, "\\fB\\-%c\\fR, ", o->letter);
                (void)fprintf(to, "\\fB\\-\\-%s\\fR", o->name);
                if (o->argument != NULL)
                        (void)fprintf(to, " \\fI%s\\fR", o->argument);
                (void)fputc('\n', to);
                man_text(to, o->help);
        }
}

static void man_verb(FILE *to, const struct cli_verb *verb)
{
        char synopsis[SYNOPSIS_MAX];

        cli_synopsis(verb, synopsis, sizeof(synopsis));
        (void)fputs(".SS \"catena ", to);
        (void)fprintf(to, "%s\"\n", synopsis);
        man_text(to, verb->help);
        if (verb->details != NULL) {
                (void)fputs(".PP\n", to);
                man_text(to, verb->details);
        }
        man_options(to, verb->options);
}

void cli_reference_man(const struct cli_verb *const *all, FILE *to)
{
        (void)fputs(".TH CATENA 1 \"\" \"catena " CATENA_VERSION "\" \"User Commands\"\n"
                    ".SH NAME\ncatena \\- one verdict for virtual machines and their host\n"
                    ".SH SYNOPSIS\n.B catena\n"
                    ".I COMMAND\n[\\fIARGUMENTS\\fR] [\\fIOPTIONS\\fR]\n"
                    ".SH COMMANDS\n",
                    to);
        for (const struct cli_verb *v = cli_next_verb(all, NULL); v != NULL;
             v = cli_next_verb(all, v))
                man_verb(to, v);
        (void)fputs(".SH \"COMMON OPTIONS\"\n", to);
        man_options(to, cli_common_options);
        (void)fputs(".SH \"EXIT STATUS\"\n.TP\n0\ndone\n", to);
        for (int code = 1; code <= EXIT_CODE_MAX; code++) {
                char text[256];

                exit_text(code, text, sizeof(text));
                (void)fprintf(to, ".TP\n%d\n%s\n", code, text);
        }
        (void)fputs(".SH ENVIRONMENT\n.TP\nCATENA_STATE\nthe instance directory where "
                    "\\-\\-state is not given; the default is /var/lib/catena for root and "
                    "$XDG_STATE_HOME/catena otherwise\n"
                    ".TP\nCATENA_PROGRESS\n\"plain\" prints progress as lines, also where "
                    "standard error is no terminal\n",
                    to);
}

static void markdown_options(FILE *to, const struct cli_option *options)
{
        (void)fputs("\n| option | meaning |\n| --- | --- |\n", to);
        for (const struct cli_option *o = options; o != NULL && o->name != NULL; o++) {
                (void)fputs("| `", to);
                if (o->letter != 0)
                        (void)fprintf(to, "-%c, ", o->letter);
                (void)fprintf(to, "--%s", o->name);
                for (const char *c = o->argument == NULL ? "" : o->argument; *c != '\0'; c++)
                        (void)fprintf(to, "%s%s%c", c == o->argument ? " " : "",
                                      *c == '|' ? "\\" : "", *c);
                (void)fprintf(to, "` | %s%s%s |\n", o->help,
                              (o->flags & CLI_REQUIRED) != 0 ? "; required" : "",
                              (o->flags & CLI_REPEATED) != 0 ? "; may be repeated" : "");
        }
}

static void markdown_verb(FILE *to, const struct cli_verb *verb)
{
        char synopsis[SYNOPSIS_MAX];

        cli_synopsis(verb, synopsis, sizeof(synopsis));
        (void)fprintf(to, "\n## `catena %s`\n\n%s\n", synopsis, verb->help);
        if (verb->details != NULL)
                (void)fprintf(to, "\n%s\n", verb->details);
        if (verb->options != NULL && verb->options[0].name != NULL)
                markdown_options(to, verb->options);
}

void cli_reference_markdown(const struct cli_verb *const *all, FILE *to)
{
        (void)fputs("# catena, the command\n\n"
                    "Generated from the tables of src/cli by `make docs`; `make check` compares.\n"
                    "\nOptions of every command:\n",
                    to);
        markdown_options(to, cli_common_options);
        (void)fputs("\n| exit code | meaning |\n| --- | --- |\n| 0 | done |\n", to);
        for (int code = 1; code <= EXIT_CODE_MAX; code++) {
                char text[256];

                exit_text(code, text, sizeof(text));
                (void)fprintf(to, "| %d | %s |\n", code, text);
        }
        for (const struct cli_verb *v = cli_next_verb(all, NULL); v != NULL;
             v = cli_next_verb(all, v))
                markdown_verb(to, v);
}

/* Whether no earlier row has the same noun; rows of a noun may stand in several arrays. */
static bool is_first_of_noun(const struct cli_verb *const *all, const struct cli_verb *verb)
{
        for (const struct cli_verb *v = cli_next_verb(all, NULL); v != verb;
             v = cli_next_verb(all, v))
                if (strcmp(v->noun, verb->noun) == 0)
                        return false;
        return true;
}

static void print_nouns(const struct cli_verb *const *all, FILE *to)
{
        for (const struct cli_verb *v = cli_next_verb(all, NULL); v != NULL;
             v = cli_next_verb(all, v))
                if (is_first_of_noun(all, v))
                        (void)fprintf(to, "%s%s", v == all[0] ? "" : " ", v->noun);
}

static void print_noun_verbs(const struct cli_verb *const *all, const char *noun, FILE *to)
{
        const char *space = "";

        for (const struct cli_verb *v = cli_next_verb(all, NULL); v != NULL;
             v = cli_next_verb(all, v))
                if (strcmp(v->noun, noun) == 0 && v->verb[0] != '\0') {
                        (void)fprintf(to, "%s%s", space, v->verb);
                        space = " ";
                }
}

static void print_option_names(const struct cli_option *options, FILE *to)
{
        for (const struct cli_option *o = options; o != NULL && o->name != NULL; o++)
                (void)fprintf(to, " --%s", o->name);
}

void cli_reference_bash(const struct cli_verb *const *all, FILE *to)
{
        (void)fputs("# bash completion of catena; generated by catena help --completion bash\n"
                    "_catena() {\n"
                    "    local current=${COMP_WORDS[COMP_CWORD]} words=\"\"\n"
                    "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        words=\"",
                    to);
        print_nouns(all, to);
        (void)fputs("\"\n    elif [ \"$COMP_CWORD\" -eq 2 ]; then\n"
                    "        case \"${COMP_WORDS[1]}\" in\n",
                    to);
        for (const struct cli_verb *v = cli_next_verb(all, NULL); v != NULL;
             v = cli_next_verb(all, v))
                if (v->verb[0] != '\0' && is_first_of_noun(all, v)) {
                        (void)fprintf(to, "        %s) words=\"", v->noun);
                        print_noun_verbs(all, v->noun, to);
                        (void)fputs("\" ;;\n", to);
                }
        (void)fputs("        esac\n    fi\n    if [[ $current == -* ]]; then\n        words=\"",
                    to);
        print_option_names(cli_common_options, to);
        (void)fputs("\"\n        case \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n", to);
        for (const struct cli_verb *v = cli_next_verb(all, NULL); v != NULL;
             v = cli_next_verb(all, v))
                if (v->options != NULL) {
                        (void)fprintf(to, "        \"%s %s\"%s) words=\"$words", v->noun, v->verb,
                                      v->verb[0] == '\0' ? "*" : "");
                        print_option_names(v->options, to);
                        (void)fputs("\" ;;\n", to);
                }
        (void)fputs("        esac\n    fi\n"
                    "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n}\n"
                    "complete -o default -F _catena catena\n",
                    to);
}

/* A word of zsh's _describe list: ':' parts the word from its description, quotes are doubled. */
static void zsh_described(FILE *to, const char *word, const char *help)
{
        (void)fprintf(to, " '%s:", word);
        for (; *help != '\0'; help++)
                (void)fputs((char[]){*help, *help == '\'' ? '\'' : '\0', '\0'}, to);
        (void)fputc('\'', to);
}

void cli_reference_zsh(const struct cli_verb *const *all, FILE *to)
{
        (void)fputs("#compdef catena\n"
                    "# zsh completion of catena; generated by catena help --completion zsh\n"
                    "setopt localoptions rcquotes\nlocal -a words_\n"
                    "if (( CURRENT == 2 )); then\n    words_=(",
                    to);
        print_nouns(all, to);
        (void)fputs(")\nelif (( CURRENT == 3 )); then\n    case $words[2] in\n", to);
        for (const struct cli_verb *v = cli_next_verb(all, NULL); v != NULL;
             v = cli_next_verb(all, v)) {
                if (v->verb[0] == '\0' || !is_first_of_noun(all, v))
                        continue;
                (void)fprintf(to, "    %s) words_=(", v->noun);
                for (const struct cli_verb *w = v; w != NULL; w = cli_next_verb(all, w))
                        if (strcmp(w->noun, v->noun) == 0)
                                zsh_described(to, w->verb, w->help);
                (void)fputs(") ;;\n", to);
        }
        (void)fputs("    esac\nfi\nif [[ $PREFIX == -* ]]; then\n    words_=(", to);
        print_option_names(cli_common_options, to);
        (void)fputs(")\n    case \"$words[2] $words[3]\" in\n", to);
        for (const struct cli_verb *v = cli_next_verb(all, NULL); v != NULL;
             v = cli_next_verb(all, v))
                if (v->options != NULL) {
                        (void)fprintf(to, "    \"%s %s\"%s) words_+=(", v->noun, v->verb,
                                      v->verb[0] == '\0' ? "*" : "");
                        print_option_names(v->options, to);
                        (void)fputs(") ;;\n", to);
                }
        (void)fputs("    esac\nfi\n_describe catena words_ || _files\n", to);
}
