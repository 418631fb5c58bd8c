#include <stdlib.h>

#include "cli/help.h"
#include "cli/reference.h"
#include "lib/test.h"

static int do_nothing(struct cli *cli, struct err *err)
{
        (void)cli;
        (void)err;
        return 0;
}

static const struct cli_option options[] = {
    {"nonce", 'n', "A|B", "it's the nonce", CLI_REQUIRED | CLI_REPEATED},
    {0},
};
static const struct cli_verb first_verbs[] = {
    {"quote", "verify", "FILE", "checks a quote", "One.\n\n.Two \\ three.", options, do_nothing},
    {"attest", "", "[VM]", "asks", NULL, options, do_nothing},
    {0},
};
static const struct cli_verb second_verbs[] = {
    {"quote", "show", "FILE", "it's shown", NULL, NULL, do_nothing},
    {0},
};
static const struct cli_verb *const all[] = {first_verbs, second_verbs, NULL};

static char *print(void (*printer)(const struct cli_verb *const *, FILE *))
{
        char *text = NULL;
        size_t len;
        FILE *to = open_memstream(&text, &len);

        assert_non_null(to);
        printer(all, to);
        assert_int_equal(fclose(to), 0);
        return text;
}

static void help_of_all(const struct cli_verb *const *verbs, FILE *to)
{
        cli_help(&(struct cli){.all = verbs}, to);
}

static void help_of_noun(const struct cli_verb *const *verbs, FILE *to)
{
        cli_help(&(struct cli){.all = verbs, .help_noun = "quote"}, to);
}

static void help_of_verb(const struct cli_verb *const *verbs, FILE *to)
{
        cli_help(&(struct cli){.all = verbs, .verb = &verbs[0][0]}, to);
}

static void contains(void **state)
{
        static const struct {
                void (*printer)(const struct cli_verb *const *, FILE *);
                const char *text;
        } rows[] = {
            {help_of_all, "  quote verify FILE  checks a quote\n  attest [VM]"},
            {help_of_all, "--state DIR"},
            {help_of_noun, "  quote show FILE    it's shown\n"},
            {help_of_verb, "usage: catena quote verify FILE [OPTIONS]\n"},
            {help_of_verb, "  -n, --nonce A|B           it's the nonce (required) (may be"},
            {help_of_verb, "One.\n\n.Two"},
            {cli_reference_man, ".SS \"catena quote verify FILE\"\n"},
            {cli_reference_man, "One.\n.PP\n\\&.Two \\e three.\n"},
            {cli_reference_man, "\n\\fB\\-n\\fR, \\fB\\-\\-nonce\\fR \\fIA|B\\fR\n"},
            {cli_reference_man, ".TP\n6\nnot trusted\n"},
            {cli_reference_markdown, "## `catena quote show FILE`\n"},
            {cli_reference_markdown, "| `-n, --nonce A\\|B` | it's the nonce; required; may be"},
            {cli_reference_markdown, "| 8 | unreachable, no answer in time |"},
            {cli_reference_bash, "words=\"quote attest\"\n"},
            {cli_reference_bash, "        quote) words=\"verify show\" ;;\n"},
            {cli_reference_bash, "\"attest \"*) words=\"$words --nonce\" ;;\n"},
            {cli_reference_zsh, "quote) words_=( 'verify:checks a quote' 'show:it''s shown') ;;"},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                AUTO_FREE char *text = print(rows[i].printer);

                if (strstr(text, rows[i].text) == NULL)
                        fail_msg("row %zu: not there in: %s", i, text);
        }
}

static void walks_all_arrays(void **state)
{
        const struct cli_verb *verb = cli_next_verb(all, NULL);

        (void)state;
        assert_ptr_equal(verb, &first_verbs[0]);
        verb = cli_next_verb(all, verb);
        assert_ptr_equal(verb, &first_verbs[1]);
        verb = cli_next_verb(all, verb);
        assert_ptr_equal(verb, &second_verbs[0]);
        assert_null(cli_next_verb(all, verb));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(contains),
            cmocka_unit_test(walks_all_arrays),
        };
        return cmocka_run_group_tests_name("cli-reference", tests, NULL, NULL);
}
