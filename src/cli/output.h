/*
 * How verbs speak: data on stdout, words and progress on stderr. Text that came from outside is
 * never sent raw to a terminal: control characters become '?'.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli/cli.h"

#define CLI_COLUMNS_MAX 16

/*
 * Prints an object as the command's JSON document, with "schema":1 first unless it has its own.
 * Takes the caller's reference, also on errors; NULL (out of memory while building) is an error.
 */
int cli_print_json(struct cli *cli, json_t *object, struct err *err) MUST_CHECK;

/* The same on one line, for streams of objects (benchmarks, --watch). */
int cli_print_json_line(struct cli *cli, json_t *object, struct err *err) MUST_CHECK;

/* Words on stdout; newlines and tabs in fmt's result are kept, other control characters are not. */
void cli_print(struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* A line on stderr, past any progress line. */
void cli_note(struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The error as CLI.md wants it: a document in JSON mode, words on stderr otherwise. */
void cli_print_error(struct cli *cli, const struct err *err);

/*
 * What is being done now, without a full stop or newline: one line on a terminal that the next
 * call overwrites; a line of its own with CATENA_PROGRESS=plain; nothing otherwise.
 */
void cli_progress(struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);
void cli_progress_end(struct cli *cli);

/* A table with headings (upper case by custom); the columns end with NULL. NULL: no memory. */
struct cli_table;
struct cli_table *cli_table_new(const char *const *columns);
void cli_table_free(struct cli_table *table);
DEFINE_CLEANUP(struct cli_table *, cli_table_free)
#define AUTO_CLI_TABLE CLEANUP(cli_table_free_p)

/* Adds one row: as many texts as there are columns; NULL prints as "-". */
int cli_table_add(struct cli_table *table, const char *const *cells, struct err *err) MUST_CHECK;

/* Prints to stdout. */
int cli_table_print(struct cli *cli, struct cli_table *table, struct err *err) MUST_CHECK;

#endif
