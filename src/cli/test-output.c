#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "cli/output.h"
#include "cli/run.h"
#include "lib/test.h"

/* What the verb under test does. */
static int (*step)(struct cli *cli, struct err *err);

static int run_step(struct cli *cli, struct err *err)
{
        return step(cli, err);
}

static const struct cli_verb verbs[] = {
    {"do", "", "", "does", NULL, NULL, run_step},
    {0},
};
static const struct cli_verb *const all[] = {verbs, NULL};

static int redirect(FILE *stream, const char *path)
{
        AUTO_FD int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
        int kept;

        assert_true(fd >= 0);
        assert_int_equal(fflush(stream), 0);
        kept = dup(fileno(stream));
        assert_true(kept >= 0);
        assert_true(dup2(fd, fileno(stream)) >= 0);
        return kept;
}

static char *restore(FILE *stream, int kept, const char *path)
{
        struct err err = {0};
        uint8_t *data = NULL;
        size_t len;

        assert_int_equal(fflush(stream), 0);
        assert_true(dup2(kept, fileno(stream)) >= 0);
        (void)close(kept);
        assert_ok(fs_read_file(path, 1U << 20, &data, &len, &err), &err);
        return (char *)data;
}

/* Runs the step as a command; free() both texts. Returns the exit code. */
static int capture(int (*what)(struct cli *, struct err *), const char *format, char **ret_out,
                   char **ret_words)
{
        char out_path[4200];
        char words_path[4200];
        char option[64];
        char name[] = "catena";
        char noun[] = "do";
        char *argv[] = {name, noun, option, NULL};
        int kept_out;
        int kept_words;
        int code;

        (void)snprintf(option, sizeof(option), "--format=%s", format);
        (void)snprintf(out_path, sizeof(out_path), "%s/out", test_dir());
        (void)snprintf(words_path, sizeof(words_path), "%s/words", test_dir());
        step = what;
        kept_out = redirect(stdout, out_path);
        kept_words = redirect(stderr, words_path);
        code = cli_run(all, 3, argv);
        *ret_words = restore(stderr, kept_words, words_path);
        *ret_out = restore(stdout, kept_out, out_path);
        return code;
}

static int fail_with_hint(struct cli *cli, struct err *err)
{
        (void)cli;
        (void)err_set(err, ERR_NOT_FOUND, "no \"x\"");
        return err_hint(err, "look elsewhere");
}

static int print_result_and_refuse(struct cli *cli, struct err *err)
{
        int r = cli_print_json(cli, json_pack("{s:b}", "ok", 0), err);

        return r < 0 ? r : err_set(err, ERR_NOT_TRUSTED, "refused");
}

static int print_own_schema(struct cli *cli, struct err *err)
{
        return cli_print_json(cli, json_pack("{s:s,s:i}", "a", "b", "schema", 2), err);
}

static int print_nothing(struct cli *cli, struct err *err)
{
        return cli_print_json(cli, NULL, err);
}

static int refuse_without_words(struct cli *cli, struct err *err)
{
        (void)cli;
        (void)err;
        return ERR_NOT_TRUSTED;
}

static int fail_in_latin1(struct cli *cli, struct err *err)
{
        (void)cli;
        return err_set(err, ERR_MALFORMED, "caf\xe9");
}

static int print_controls(struct cli *cli, struct err *err)
{
        (void)err;
        cli_print(cli, "a\033[31mb\tc\n");
        cli_note(cli, "n\001");
        return 0;
}

static int print_table(struct cli *cli, struct err *err)
{
        static const char *const columns[] = {"NAME", "STATE", NULL};
        static const char *const one[] = {"web1", NULL};
        static const char *const two[] = {"evil\033[2J", "on"};
        AUTO_CLI_TABLE struct cli_table *table = cli_table_new(columns);
        int r;

        assert_non_null(table);
        r = cli_table_add(table, one, err);
        if (r == 0)
                r = cli_table_add(table, two, err);
        return r < 0 ? r : cli_table_print(cli, table, err);
}

static int show_progress(struct cli *cli, struct err *err)
{
        (void)err;
        cli_progress(cli, "booting");
        return 0;
}

static void speaks(void **state)
{
        static const struct {
                int (*step)(struct cli *, struct err *);
                const char *format;
                int code;
                const char *out;   /* must be in stdout; "" means it must be empty */
                const char *words; /* the same for stderr */
        } rows[] = {
            {fail_with_hint, "table", 3, "", "catena: no \"x\"\nlook elsewhere\n"},
            {fail_with_hint, "json", 3, "\"message\": \"no \\\"x\\\"\"", ""},
            {fail_with_hint, "json", 3, "\"code\": \"not-found\"", ""},
            {fail_with_hint, "json", 3, "\"hint\": \"look elsewhere\"", ""},
            {print_result_and_refuse, "json", 6, "{\n  \"schema\": 1,\n  \"ok\": false\n}\n",
             "refused"},
            {print_own_schema, "json", 0, "{\n  \"schema\": 2,\n  \"a\": \"b\"\n}\n", ""},
            {print_nothing, "json", 1, "no-memory", ""},
            {refuse_without_words, "json", 6, "", ""},
            {fail_in_latin1, "json", 1, "\"message\": \"malformed input\"", ""},
            {print_controls, "table", 0, "a?[31mb\tc\n", "n?\n"},
            {print_table, "table", 0, "web1", ""},
            {print_table, "table", 0, "NAME", ""},
            {show_progress, "table", 0, "", ""},
            {show_progress, "xml", 2, "", "not \"xml\""},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                AUTO_FREE char *out = NULL;
                AUTO_FREE char *words = NULL;
                int code = capture(rows[i].step, rows[i].format, &out, &words);

                if (code != rows[i].code)
                        fail_msg("row %zu: exit %d, %s", i, code, words);
                if (strstr(out, rows[i].out) == NULL || (rows[i].out[0] == '\0') != (*out == '\0'))
                        fail_msg("row %zu: stdout: %s", i, out);
                if (strstr(words, rows[i].words) == NULL ||
                    (rows[i].words[0] == '\0') != (*words == '\0'))
                        fail_msg("row %zu: stderr: %s", i, words);
                assert_null(strchr(out, '\033'));
        }
}

static void plain_progress_is_lines(void **state)
{
        AUTO_FREE char *out = NULL;
        AUTO_FREE char *words = NULL;

        (void)state;
        assert_int_equal(setenv("CATENA_PROGRESS", "plain", 1), 0);
        assert_int_equal(capture(show_progress, "table", &out, &words), 0);
        assert_int_equal(unsetenv("CATENA_PROGRESS"), 0);
        assert_string_equal(words, "booting\n");
        assert_string_equal(out, "");
}

static int see_interrupt(struct cli *cli, struct err *err)
{
        (void)cli;
        assert_false(cli_interrupted());
        assert_int_equal(raise(SIGINT), 0);
        assert_true(cli_interrupted());
        return err_set(err, ERR_INTERRUPTED, "interrupted");
}

static void notes_a_signal(void **state)
{
        AUTO_FREE char *out = NULL;
        AUTO_FREE char *words = NULL;

        (void)state;
        assert_int_equal(capture(see_interrupt, "table", &out, &words), 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(speaks),
            cmocka_unit_test(plain_progress_is_lines),
            cmocka_unit_test(notes_a_signal),
        };
        return cmocka_run_group_tests_name("cli-output", tests, NULL, NULL);
}
