/*
 * From an argument vector to a struct cli, by the tables of verbs. Reads the environment for the
 * state directory and touches nothing else.
 */
#ifndef CLI_PARSE_H
#define CLI_PARSE_H

#include "cli/cli.h"

/* The options that every verb has; they may also stand before the noun. Ends with {0}. */
extern const struct cli_option cli_common_options[];

/*
 * Fills *ret_cli from argv[1..argc-1] with the verbs of all (arrays that end with a NULL noun; the
 * list ends with NULL). Unlike other outputs *ret_cli is written on errors too, so that the caller
 * knows in which format to complain. Sets want_help or want_version instead of a verb where asked.
 * Error: ERR_USAGE with the wrong word named and, in the hint, the nearest right one.
 */
int cli_parse(struct cli *ret_cli, const struct cli_verb *const *all, int argc, char *const *argv,
              struct err *err) MUST_CHECK;

/* How many arguments a synopsis asks for; *ret_max is SIZE_MAX where there is no upper bound. */
void cli_count_arguments(const char *synopsis, size_t *ret_min, size_t *ret_max);

/* Edits (insert, delete, replace, swap of neighbours) between two words; long words are cut. */
size_t cli_word_distance(const char *a, const char *b);

#endif
