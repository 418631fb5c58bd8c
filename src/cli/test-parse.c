#include <stdlib.h>

#include "cli/parse.h"
#include "lib/test.h"

static int do_nothing(struct cli *cli, struct err *err)
{
        (void)cli;
        (void)err;
        return 0;
}

static const struct cli_option quote_options[] = {
    {"nonce", 'n', "HEX", "the nonce", CLI_REQUIRED},
    {"pcr", 'p', "N", "a PCR", CLI_REPEATED},
    {"keep", 'k', NULL, "keep it", 0},
    {0},
};

static const struct cli_verb first_verbs[] = {
    {"quote", "verify", "FILE [OTHER]", "checks", NULL, quote_options, do_nothing},
    {"quote", "show", "FILE...", "shows", NULL, NULL, do_nothing},
    {0},
};
static const struct cli_verb second_verbs[] = {
    {"attest", "", "[VM]", "asks", NULL, NULL, do_nothing},
    {"vtpm", "shell", "NAME -- COMMAND...", "runs", NULL, NULL, do_nothing},
    {0},
};
static const struct cli_verb *const all[] = {first_verbs, second_verbs, NULL};

#define WORDS_MAX 100

/* Splits a line at spaces and parses it. */
static int parse(const char *line, struct cli *cli, struct err *err)
{
        static char copy[1024];
        char *argv[WORDS_MAX + 1] = {NULL};
        char *rest = copy;
        int argc = 0;

        (void)snprintf(copy, sizeof(copy), "catena %s", line);
        while (argc < WORDS_MAX && (argv[argc] = strsep(&rest, " ")) != NULL)
                argc++;
        return cli_parse(cli, all, argc, argv, err);
}

static void accepts(void **state)
{
        static const struct {
                const char *line;
                const char *verb;
                size_t n_args;
                const char *nonce;
                size_t n_pcrs;
                bool keep;
                enum cli_format format;
        } rows[] = {
            {"quote verify a --nonce 00", "verify", 1, "00", 0, false, CLI_TABLE},
            {"quote verify a b --nonce=00", "verify", 2, "00", 0, false, CLI_TABLE},
            {"quote verify -n 00 a", "verify", 1, "00", 0, false, CLI_TABLE},
            {"quote verify -n00 -k a", "verify", 1, "00", 0, true, CLI_TABLE},
            {"quote verify --nonce= a", "verify", 1, "", 0, false, CLI_TABLE},
            {"quote verify a -n 1 -p 1 --pcr 2 -p3", "verify", 1, "1", 3, false, CLI_TABLE},
            {"quote -f json verify --keep a -n 1", "verify", 1, "1", 0, true, CLI_JSON},
            {"-f json quote show a b c", "show", 3, NULL, 0, false, CLI_JSON},
            {"quote show -", "show", 1, NULL, 0, false, CLI_TABLE},
            {"quote show -- --nonce -x", "show", 2, NULL, 0, false, CLI_TABLE},
            {"attest", "", 0, NULL, 0, false, CLI_TABLE},
            {"attest web1 --format=json", "", 1, NULL, 0, false, CLI_JSON},
            {"vtpm shell x -- tpm2_pcrread -o f", "shell", 4, NULL, 0, false, CLI_TABLE},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct cli cli;
                struct err err = {0};

                assert_ok(parse(rows[i].line, &cli, &err), &err);
                assert_string_equal(cli.verb->verb, rows[i].verb);
                assert_int_equal(cli.n_args, rows[i].n_args);
                assert_int_equal(cli.format, rows[i].format);
                assert_int_equal(cli_switch(&cli, "keep"), rows[i].keep);
                if (rows[i].nonce == NULL)
                        assert_null(cli_option(&cli, "nonce"));
                else
                        assert_string_equal(cli_option(&cli, "nonce"), rows[i].nonce);
                assert_true(rows[i].n_pcrs == 0 ||
                            cli_option_at(&cli, "pcr", rows[i].n_pcrs - 1) != NULL);
                assert_null(cli_option_at(&cli, "pcr", rows[i].n_pcrs));
                assert_null(cli_arg(&cli, rows[i].n_args));
        }
}

static void refuses(void **state)
{
        static const struct {
                const char *line;
                const char *text; /* must be in the message */
                const char *hint; /* must be in the hint */
        } rows[] = {
            {"", "there is no command", "catena --help"},
            {"qoute verify a", "\"qoute\"", "\"catena quote\""},
            {"zzz", "\"zzz\"", "catena --help"},
            {"quote", "needs a verb", "catena quote --help"},
            {"quote verfiy a", "\"verfiy\"", "\"catena quote verify\""},
            {"quote xx", "\"xx\"", "catena quote --help"},
            {"quote verify a", "--nonce is missing", "catena quote verify --help"},
            {"quote verify --nonce 00", "argument is missing", "catena quote verify FILE [OTHER]"},
            {"quote verify a b c -n 0", "too many: \"c\"", "usage"},
            {"quote verify a --nonse 1", "\"--nonse\"", "--nonce"},
            {"quote verify a --zzz", "\"--zzz\"", "catena quote verify --help"},
            {"quote verify a -z", "\"-z\"", "--help"},
            {"quote verify a --nonce", "--nonce needs a value: HEX", ""},
            {"quote verify a --keep=1 -n 0", "--keep takes no value", ""},
            {"quote verify a -n 1 -n 2", "--nonce is given twice", ""},
            {"quote show a -f xml", "not \"xml\"", ""},
            {"quote show a -f", "--format needs a value", ""},
            {"quote show a --state=", "empty path", ""},
            {"quote show", "argument is missing", "FILE..."},
            {"--nonce quote show a", "\"--nonce\"", "stand after it"},
            {"attest a b", "too many", "catena attest [VM]"},
            {"vtpm shell x", "missing", "NAME -- COMMAND..."},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct cli cli;
                struct err err = {0};

                if (parse(rows[i].line, &cli, &err) != ERR_USAGE)
                        fail_msg("accepted: %s", rows[i].line);
                if (strstr(err.text, rows[i].text) == NULL)
                        fail_msg("%s: text is: %s", rows[i].line, err.text);
                if (strstr(err.hint, rows[i].hint) == NULL)
                        fail_msg("%s: hint is: %s", rows[i].line, err.hint);
        }
}

static void keeps_the_format_of_a_wrong_line(void **state)
{
        struct cli cli;
        struct err err = {0};

        (void)state;
        assert_int_equal(parse("-f json quote verify", &cli, &err), ERR_USAGE);
        assert_int_equal(cli.format, CLI_JSON);
}

static void asks_for_help_and_version(void **state)
{
        struct cli cli;
        struct err err = {0};

        (void)state;
        assert_ok(parse("quote verify --help", &cli, &err), &err);
        assert_true(cli.want_help);
        assert_string_equal(cli.verb->verb, "verify");
        assert_ok(parse("quote -h", &cli, &err), &err);
        assert_true(cli.want_help);
        assert_string_equal(cli.help_noun, "quote");
        assert_ok(parse("--version", &cli, &err), &err);
        assert_true(cli.want_version);
        assert_int_equal(parse("quote show a --version", &cli, &err), ERR_USAGE);
}

static void bounds_arguments_and_options(void **state)
{
        char line[1024] = "quote show";
        struct cli cli;
        struct err err = {0};

        (void)state;
        for (int i = 0; i < CLI_ARGS_MAX; i++)
                (void)snprintf(line + strlen(line), 3, " a");
        assert_ok(parse(line, &cli, &err), &err);
        (void)snprintf(line + strlen(line), 3, " a");
        assert_int_equal(parse(line, &cli, &err), ERR_USAGE);

        (void)snprintf(line, sizeof(line), "quote verify a -n0");
        for (int i = 0; i < CLI_VALUES_MAX - 1; i++)
                (void)snprintf(line + strlen(line), 5, " -p1");
        assert_ok(parse(line, &cli, &err), &err);
        (void)snprintf(line + strlen(line), 5, " -p1");
        assert_int_equal(parse(line, &cli, &err), ERR_USAGE);
}

static void finds_the_state_directory(void **state)
{
        struct cli cli;
        struct err err = {0};
        static char longer[CLI_STATE_MAX + 1];

        (void)state;
        assert_int_equal(setenv("CATENA_STATE", "/env", 1), 0);
        assert_ok(parse("attest", &cli, &err), &err);
        assert_string_equal(cli.state, "/env");
        assert_ok(parse("attest --state given", &cli, &err), &err);
        assert_string_equal(cli.state, "given");
        memset(longer, 'x', sizeof(longer) - 1);
        assert_int_equal(setenv("CATENA_STATE", longer, 1), 0);
        assert_int_equal(parse("attest", &cli, &err), ERR_USAGE);
        assert_int_equal(unsetenv("CATENA_STATE"), 0);
        assert_ok(parse("attest", &cli, &err), &err);
        assert_non_null(strstr(cli.state, "catena"));
}

static void reads_numbers(void **state)
{
        static const struct {
                const char *line;
                int code;
                uint64_t number;
        } rows[] = {
            {"quote verify a -n 7", 0, 7},
            {"quote verify a -n 007", 0, 7},
            {"quote verify a -n 100", 0, 100},
            {"quote verify a -n 101", ERR_USAGE, 0},
            {"quote verify a -n 4", ERR_USAGE, 0},
            {"quote verify a -n -7", ERR_USAGE, 0},
            {"quote verify a -n +7", ERR_USAGE, 0},
            {"quote verify a -n 7x", ERR_USAGE, 0},
            {"quote verify a --nonce=", ERR_USAGE, 0},
            {"quote verify a -n 18446744073709551617", ERR_USAGE, 0},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct cli cli;
                struct err err = {0};
                uint64_t number = 0xdead;

                assert_ok(parse(rows[i].line, &cli, &err), &err);
                if (cli_option_number(&cli, "nonce", 5, 100, 50, &number, &err) != rows[i].code)
                        fail_msg("%s: %s", rows[i].line, err.text);
                assert_int_equal(number, rows[i].code == 0 ? rows[i].number : 0xdead);
                assert_ok(cli_option_number(&cli, "pcr", 5, 100, 50, &number, &err), &err);
                assert_int_equal(number, 50);
        }
}

static void counts_arguments(void **state)
{
        static const struct {
                const char *synopsis;
                size_t min;
                size_t max;
        } rows[] = {
            {"", 0, 0},
            {"A", 1, 1},
            {"A B", 2, 2},
            {"A [B]", 1, 2},
            {"[A...]", 0, SIZE_MAX},
            {"A...", 1, SIZE_MAX},
            {"A -- B...", 2, SIZE_MAX},
            {"[A] [B]", 0, 2},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                size_t min = 77;
                size_t max = 77;

                cli_count_arguments(rows[i].synopsis, &min, &max);
                assert_int_equal(min, rows[i].min);
                assert_int_equal(max, rows[i].max);
        }
}

static void measures_words(void **state)
{
        static const struct {
                const char *a;
                const char *b;
                size_t distance;
        } rows[] = {
            {"", "", 0},         {"a", "", 1},       {"", "ab", 2},       {"show", "show", 0},
            {"shwo", "show", 1}, {"sho", "show", 1}, {"shaw", "show", 1}, {"abc", "xyz", 3},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                assert_int_equal(cli_word_distance(rows[i].a, rows[i].b), rows[i].distance);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(accepts),
            cmocka_unit_test(refuses),
            cmocka_unit_test(keeps_the_format_of_a_wrong_line),
            cmocka_unit_test(asks_for_help_and_version),
            cmocka_unit_test(bounds_arguments_and_options),
            cmocka_unit_test(finds_the_state_directory),
            cmocka_unit_test(reads_numbers),
            cmocka_unit_test(counts_arguments),
            cmocka_unit_test(measures_words),
        };
        return cmocka_run_group_tests_name("cli-parse", tests, NULL, NULL);
}
