#include "cli/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORD_MAX        32 /* letters of a word that the comparison looks at */
#define NEAR_ENOUGH     2  /* edits between a wrong word and the one that is suggested */
#define SYSTEM_STATE    "/var/lib/catena"
#define USER_STATE_HOME ".local/state"

enum { COMMON_FORMAT, COMMON_STATE, COMMON_HELP };

const struct cli_option cli_common_options[] = {
    [COMMON_FORMAT] = {"format", 'f', "table|json", "how to print: words and tables, or JSON", 0},
    [COMMON_STATE] = {"state", 0, "DIR", "the instance directory (or CATENA_STATE)", 0},
    [COMMON_HELP] = {"help", 'h', NULL, "explain the command", 0},
    {0},
};

struct parser {
        struct cli *cli;
        char *const *argv;
        int argc;
        int next;
        const char *noun; /* given, and known to some row */
        const char *state;
        bool only_args; /* after -- */
};

size_t cli_word_distance(const char *a, const char *b)
{
        size_t rows[3][WORD_MAX + 1];
        size_t a_len = strnlen(a, WORD_MAX);
        size_t b_len = strnlen(b, WORD_MAX);

        for (size_t j = 0; j <= b_len; j++)
                rows[0][j] = j;
        for (size_t i = 1; i <= a_len; i++) {
                size_t *row = rows[i % 3];
                const size_t *above = rows[(i + 2) % 3];
                const size_t *two_above = rows[(i + 1) % 3];

                row[0] = i;
                for (size_t j = 1; j <= b_len; j++) {
                        size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);

                        if (above[j] + 1 < best)
                                best = above[j] + 1;
                        if (row[j - 1] + 1 < best)
                                best = row[j - 1] + 1;
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                            two_above[j - 2] + 1 < best)
                                best = two_above[j - 2] + 1;
                        row[j] = best;
                }
        }
        return rows[a_len % 3][b_len];
}

struct nearest {
        const char *word;
        size_t distance;
};

static void consider(struct nearest *nearest, const char *wrong, const char *right)
{
        size_t distance = cli_word_distance(wrong, right);

        if (strlen(wrong) >= 2 && strncmp(wrong, right, strlen(wrong)) == 0)
                distance = 1; /* the beginning of the word counts as near */
        if (right[0] != '\0' && distance < nearest->distance && distance < strlen(right))
                *nearest = (struct nearest){right, distance};
}

void cli_count_arguments(const char *synopsis, size_t *ret_min, size_t *ret_max)
{
        size_t min = 0;
        size_t max = 0;

        for (const char *word = synopsis; *word != '\0';) {
                size_t len = strcspn(word, " ");
                bool optional = word[0] == '[';
                bool many = len > 3 && memcmp(word + len - 3 - (optional ? 1 : 0), "...", 3) == 0;

                if (len > 0 && (len != 2 || memcmp(word, "--", 2) != 0)) {
                        min += optional ? 0 : 1;
                        if (max != SIZE_MAX)
                                max = many ? SIZE_MAX : max + 1;
                }
                word += len;
                word += strspn(word, " ");
        }
        *ret_min = min;
        *ret_max = max;
}

static int unknown_noun(const struct parser *p, const char *word, struct err *err)
{
        struct nearest nearest = {NULL, NEAR_ENOUGH + 1};

        for (size_t i = 0; p->cli->all[i] != NULL; i++)
                for (const struct cli_verb *v = p->cli->all[i]; v->noun != NULL; v++)
                        consider(&nearest, word, v->noun);
        (void)err_set(err, ERR_USAGE, "there is no command \"%s\"", word);
        if (nearest.word != NULL)
                return err_hint(err, "did you mean \"catena %s\"?", nearest.word);
        return err_hint(err, "see catena --help");
}

static int unknown_verb(const struct parser *p, const char *word, struct err *err)
{
        struct nearest nearest = {NULL, NEAR_ENOUGH + 1};

        for (size_t i = 0; p->cli->all[i] != NULL; i++)
                for (const struct cli_verb *v = p->cli->all[i]; v->noun != NULL; v++)
                        if (strcmp(v->noun, p->noun) == 0)
                                consider(&nearest, word, v->verb);
        (void)err_set(err, ERR_USAGE, "\"catena %s\" has no verb \"%s\"", p->noun, word);
        if (nearest.word != NULL)
                return err_hint(err, "did you mean \"catena %s %s\"?", p->noun, nearest.word);
        return err_hint(err, "see catena %s --help", p->noun);
}

static const struct cli_verb *find_verb(const struct parser *p, const char *noun, const char *verb)
{
        for (size_t i = 0; p->cli->all[i] != NULL; i++)
                for (const struct cli_verb *v = p->cli->all[i]; v->noun != NULL; v++)
                        if (strcmp(v->noun, noun) == 0 &&
                            (verb == NULL || strcmp(v->verb, verb) == 0))
                                return v;
        return NULL;
}

static int take_noun(struct parser *p, const char *word, struct err *err)
{
        const struct cli_verb *first = find_verb(p, word, NULL);

        if (first == NULL)
                return unknown_noun(p, word, err);
        p->noun = first->noun;
        p->cli->help_noun = first->noun;
        if (first->verb[0] == '\0')
                p->cli->verb = first;
        return 0;
}

static int take_verb(struct parser *p, const char *word, struct err *err)
{
        p->cli->verb = find_verb(p, p->noun, word);
        return p->cli->verb != NULL ? 0 : unknown_verb(p, word, err);
}

static int take_word(struct parser *p, const char *word, struct err *err)
{
        if (p->noun == NULL)
                return take_noun(p, word, err);
        if (p->cli->verb == NULL)
                return take_verb(p, word, err);
        if (p->cli->n_args == CLI_ARGS_MAX)
                return err_set(err, ERR_USAGE, "more than %d arguments", CLI_ARGS_MAX);
        p->cli->args[p->cli->n_args++] = word;
        return 0;
}

/* In one table: by the long name (len letters of it) or, where name is NULL, by the letter. */
static const struct cli_option *find_in(const struct cli_option *options, const char *name,
                                        size_t len, char letter)
{
        for (const struct cli_option *o = options; o != NULL && o->name != NULL; o++) {
                if (name == NULL && letter == o->letter)
                        return o;
                if (name != NULL && strlen(o->name) == len && memcmp(o->name, name, len) == 0)
                        return o;
        }
        return NULL;
}

static const struct cli_option *find_option(const struct parser *p, const char *name, size_t len,
                                            char letter)
{
        const struct cli_option *found = find_in(cli_common_options, name, len, letter);

        if (found == NULL && p->cli->verb != NULL)
                found = find_in(p->cli->verb->options, name, len, letter);
        return found;
}

static void consider_options(struct nearest *nearest, const char *wrong,
                             const struct cli_option *options)
{
        for (const struct cli_option *o = options; o != NULL && o->name != NULL; o++)
                consider(nearest, wrong, o->name);
}

static int unknown_option(const struct parser *p, const char *word, struct err *err)
{
        const struct cli_verb *verb = p->cli->verb;
        struct nearest nearest = {NULL, NEAR_ENOUGH + 1};
        char name[WORD_MAX + 1];

        (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(word + 2, "="), word + 2);
        consider_options(&nearest, name, cli_common_options);
        if (verb != NULL)
                consider_options(&nearest, name, verb->options);
        (void)err_set(err, ERR_USAGE, "there is no option \"%s\"", word);
        if (nearest.word != NULL)
                return err_hint(err, "did you mean --%s?", nearest.word);
        if (verb == NULL)
                return err_hint(err, "options of a verb stand after it; see catena --help");
        return err_hint(err, "see catena %s%s%s --help", verb->noun,
                        verb->verb[0] == '\0' ? "" : " ", verb->verb);
}

static int set_format(struct cli *cli, const char *text, struct err *err)
{
        if (strcmp(text, "json") == 0)
                cli->format = CLI_JSON;
        else if (strcmp(text, "table") == 0)
                cli->format = CLI_TABLE;
        else
                return err_set(err, ERR_USAGE, "--format is table or json, not \"%s\"", text);
        return 0;
}

static bool is_given(const struct cli *cli, const struct cli_option *option)
{
        for (size_t i = 0; i < cli->n_values; i++)
                if (cli->values[i].option == option)
                        return true;
        return false;
}

static int store_value(struct parser *p, const struct cli_option *option, const char *text,
                       struct err *err)
{
        struct cli *cli = p->cli;

        if (option == &cli_common_options[COMMON_FORMAT])
                return set_format(cli, text == NULL ? "" : text, err);
        if (option == &cli_common_options[COMMON_STATE]) {
                p->state = text;
                return 0;
        }
        if (option == &cli_common_options[COMMON_HELP]) {
                cli->want_help = true;
                return 0;
        }
        if (option->argument != NULL && (option->flags & CLI_REPEATED) == 0 &&
            is_given(cli, option))
                return err_set(err, ERR_USAGE, "--%s is given twice", option->name);
        if (cli->n_values == CLI_VALUES_MAX)
                return err_set(err, ERR_USAGE, "more than %d options", CLI_VALUES_MAX);
        cli->values[cli->n_values++] = (struct cli_value){option, text};
        return 0;
}

/* The option's own value (after '=' or glued to the letter) or else the next word. */
static int take_value(struct parser *p, const struct cli_option *option, const char *own,
                      struct err *err)
{
        if (option->argument == NULL) {
                if (own != NULL)
                        return err_set(err, ERR_USAGE, "--%s takes no value", option->name);
                return store_value(p, option, NULL, err);
        }
        if (own == NULL && p->next < p->argc)
                own = p->argv[p->next++];
        if (own == NULL)
                return err_set(err, ERR_USAGE, "--%s needs a value: %s", option->name,
                               option->argument);
        return store_value(p, option, own, err);
}

static int take_long_option(struct parser *p, const char *word, struct err *err)
{
        size_t len = strcspn(word + 2, "=");
        const char *own = word[2 + len] == '=' ? word + 2 + len + 1 : NULL;
        const struct cli_option *option = find_option(p, word + 2, len, 0);

        if (p->noun == NULL && strcmp(word, "--version") == 0) {
                p->cli->want_version = true;
                return 0;
        }
        if (option == NULL)
                return unknown_option(p, word, err);
        return take_value(p, option, own, err);
}

static int take_short_option(struct parser *p, const char *word, struct err *err)
{
        const struct cli_option *option = find_option(p, NULL, 0, word[1]);

        if (option == NULL) {
                (void)err_set(err, ERR_USAGE, "there is no option \"%s\"", word);
                return err_hint(err, "see --help");
        }
        return take_value(p, option, word[2] == '\0' ? NULL : word + 2, err);
}

static int take_next(struct parser *p, struct err *err)
{
        const char *word = p->argv[p->next++];

        if (p->only_args || word[0] != '-' || word[1] == '\0')
                return take_word(p, word, err);
        if (strcmp(word, "--") == 0) {
                p->only_args = true;
                return 0;
        }
        return word[1] == '-' ? take_long_option(p, word, err) : take_short_option(p, word, err);
}

static const char *verb_space(const struct cli_verb *verb)
{
        return verb->verb[0] == '\0' ? "" : " ";
}

static int check_complete(const struct cli *cli, struct err *err)
{
        const struct cli_verb *verb = cli->verb;
        size_t min;
        size_t max;

        cli_count_arguments(verb->arguments, &min, &max);
        if (cli->n_args < min || cli->n_args > max) {
                if (cli->n_args > max)
                        (void)err_set(err, ERR_USAGE, "one argument too many: \"%s\"",
                                      cli->args[max]);
                else
                        (void)err_set(err, ERR_USAGE, "an argument is missing");
                return err_hint(err, "usage: catena %s%s%s%s%s", verb->noun, verb_space(verb),
                                verb->verb, verb->arguments[0] == '\0' ? "" : " ", verb->arguments);
        }
        for (const struct cli_option *o = verb->options; o != NULL && o->name != NULL; o++)
                if ((o->flags & CLI_REQUIRED) != 0 && !is_given(cli, o)) {
                        (void)err_set(err, ERR_USAGE, "--%s is missing", o->name);
                        return err_hint(err, "see catena %s%s%s --help", verb->noun,
                                        verb_space(verb), verb->verb);
                }
        return 0;
}

static int resolve_state(struct cli *cli, const char *given, struct err *err)
{
        const char *home = getenv("HOME");
        const char *xdg = getenv("XDG_STATE_HOME");
        int n;

        if (given == NULL)
                given = getenv("CATENA_STATE");
        cli->state_given = given != NULL;
        if (given == NULL && (geteuid() == 0 || home == NULL))
                given = SYSTEM_STATE;
        if (given != NULL && given[0] == '\0')
                return err_set(err, ERR_USAGE, "the state directory is an empty path");
        if (given != NULL)
                n = snprintf(cli->state, sizeof(cli->state), "%s", given);
        else if (xdg != NULL && xdg[0] == '/')
                n = snprintf(cli->state, sizeof(cli->state), "%s/catena", xdg);
        else
                n = snprintf(cli->state, sizeof(cli->state), "%s/%s/catena", home, USER_STATE_HOME);
        if (n < 0 || (size_t)n >= sizeof(cli->state))
                return err_set(err, ERR_USAGE, "the path of the state directory is too long");
        return 0;
}

int cli_parse(struct cli *ret_cli, const struct cli_verb *const *all, int argc, char *const *argv,
              struct err *err)
{
        struct parser p = {.cli = ret_cli, .argv = argv, .argc = argc, .next = 1};
        int r;

        *ret_cli = (struct cli){.all = all, .format = CLI_TABLE};
        while (p.next < argc) {
                r = take_next(&p, err);
                if (r < 0)
                        return r;
        }
        if (ret_cli->want_help || ret_cli->want_version)
                return 0;
        if (p.noun == NULL) {
                (void)err_set(err, ERR_USAGE, "no command is given");
                return err_hint(err, "see catena --help");
        }
        if (ret_cli->verb == NULL) {
                (void)err_set(err, ERR_USAGE, "\"catena %s\" needs a verb", p.noun);
                return err_hint(err, "see catena %s --help", p.noun);
        }
        r = check_complete(ret_cli, err);
        return r < 0 ? r : resolve_state(ret_cli, p.state, err);
}
