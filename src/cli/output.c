#include "cli/output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libsmartcols/libsmartcols.h>

static void print_safe(FILE *to, const char *text)
{
        for (const char *c = text; *c != '\0'; c++) {
                bool control = ((unsigned char)*c < 0x20 && *c != '\n' && *c != '\t') || *c == 0x7f;

                (void)fputc(control ? '?' : *c, to);
        }
}

static void print_v(FILE *to, const char *fmt, va_list args) PRINTF_LIKE(2, 0);

static void print_v(FILE *to, const char *fmt, va_list args)
{
        AUTO_FREE char *text = NULL;

        if (vasprintf(&text, fmt, args) < 0) {
                text = NULL; /* vasprintf() leaves it undefined */
                return;
        }
        print_safe(to, text);
}

static int print_document(struct cli *cli, json_t *object, size_t flags, struct err *err)
{
        json_t *whole = json_pack("{s:i}", "schema", 1);
        int r = 0;

        if (object == NULL || whole == NULL || json_object_update(whole, object) < 0)
                r = err_set(err, ERR_NO_MEMORY, "print JSON");
        else if (json_dumpf(whole, stdout, flags) < 0 || fputc('\n', stdout) == EOF)
                r = err_set(err, ERR_IO, "write to standard output");
        else
                cli->printed = true;
        json_decref(whole);
        json_decref(object);
        return r;
}

int cli_print_json(struct cli *cli, json_t *object, struct err *err)
{
        return print_document(cli, object, JSON_INDENT(2), err);
}

int cli_print_json_line(struct cli *cli, json_t *object, struct err *err)
{
        int r = print_document(cli, object, JSON_COMPACT, err);

        (void)fflush(stdout);
        return r;
}

void cli_print(struct cli *cli, const char *fmt, ...)
{
        va_list args;

        cli_progress_end(cli);
        va_start(args, fmt);
        print_v(stdout, fmt, args);
        va_end(args);
}

void cli_note(struct cli *cli, const char *fmt, ...)
{
        va_list args;

        cli_progress_end(cli);
        va_start(args, fmt);
        print_v(stderr, fmt, args);
        va_end(args);
        (void)fputc('\n', stderr);
}

static void print_error_document(struct cli *cli, const struct err *err)
{
        struct err ignored = {0};
        json_t *object =
            json_pack("{s:{s:s,s:s%,s:s%}}", "error", "code", err_name(err->code), "message",
                      err->text, strlen(err->text), "hint", err->hint, strlen(err->hint));

        /* Text that is not UTF-8 cannot be a JSON string: the code alone then. */
        if (object == NULL)
                object = json_pack("{s:{s:s,s:s,s:s}}", "error", "code", err_name(err->code),
                                   "message", err_public_text(err->code), "hint", "");
        (void)print_document(cli, object, JSON_INDENT(2), &ignored);
}

void cli_print_error(struct cli *cli, const struct err *err)
{
        if (cli->format == CLI_JSON && !cli->printed) {
                print_error_document(cli, err);
                return;
        }
        cli_note(cli, "catena: %s", err->text);
        if (err->hint[0] != '\0')
                cli_note(cli, "%s", err->hint);
}

static bool progress_is_plain(void)
{
        const char *mode = getenv("CATENA_PROGRESS");

        return mode != NULL && strcmp(mode, "plain") == 0;
}

void cli_progress(struct cli *cli, const char *fmt, ...)
{
        bool plain = progress_is_plain();
        va_list args;

        if (!plain && !isatty(STDERR_FILENO))
                return;
        cli_progress_end(cli);
        va_start(args, fmt);
        print_v(stderr, fmt, args);
        va_end(args);
        if (plain)
                (void)fputc('\n', stderr);
        else
                (void)fputs(" ...", stderr);
        (void)fflush(stderr);
        cli->progress = !plain;
}

void cli_progress_end(struct cli *cli)
{
        if (!cli->progress)
                return;
        (void)fputs("\r\033[K", stderr); /* ECMA-48: to the line's start, erase to its end */
        (void)fflush(stderr);
        cli->progress = false;
}

struct cli_table {
        struct libscols_table *scols;
        size_t n_columns;
};

void cli_table_free(struct cli_table *table)
{
        if (table == NULL)
                return;
        scols_unref_table(table->scols);
        free(table);
}

struct cli_table *cli_table_new(const char *const *columns)
{
        CLEANUP(cli_table_free_p) struct cli_table *table = calloc(1, sizeof(*table));

        if (table == NULL)
                return NULL;
        table->scols = scols_new_table();
        if (table->scols == NULL)
                return NULL;
        for (; columns[table->n_columns] != NULL; table->n_columns++)
                if (table->n_columns == CLI_COLUMNS_MAX ||
                    scols_table_new_column(table->scols, columns[table->n_columns], 0, 0) == NULL)
                        return NULL;
        return TAKE(table);
}

int cli_table_add(struct cli_table *table, const char *const *cells, struct err *err)
{
        struct libscols_line *line = scols_table_new_line(table->scols, NULL);

        if (line == NULL)
                return err_set(err, ERR_NO_MEMORY, "add a row");
        for (size_t i = 0; i < table->n_columns; i++)
                if (scols_line_set_data(line, i, cells[i] == NULL ? "-" : cells[i]) != 0)
                        return err_set(err, ERR_NO_MEMORY, "add a row");
        return 0;
}

int cli_table_print(struct cli *cli, struct cli_table *table, struct err *err)
{
        cli_progress_end(cli);
        if (scols_print_table(table->scols) != 0)
                return err_set(err, ERR_IO, "write to standard output");
        return 0;
}
