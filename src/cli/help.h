/*
 * The tables in words: --help at every level, and the generated reference (help verb).
 */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include <stdio.h>

#include "cli/cli.h"

/* Explains the verb of cli, or its noun's verbs, or all commands. */
void cli_help(const struct cli *cli, FILE *to);

/* "evlog show FILE" in out; cut where it does not fit. */
void cli_synopsis(const struct cli_verb *verb, char *out, size_t size);

/* The verb after this one over all arrays (NULL starts), or NULL at the end. */
const struct cli_verb *cli_next_verb(const struct cli_verb *const *all,
                                     const struct cli_verb *previous);

#endif
