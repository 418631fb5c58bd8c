/*
 * The reference, generated from the tables of verbs: catena(1), doc/cli.md, shell completions.
 */
#ifndef CLI_REFERENCE_H
#define CLI_REFERENCE_H

#include <stdio.h>

#include "cli/cli.h"

/* catena(1) in man(7) form. */
void cli_reference_man(const struct cli_verb *const *all, FILE *to);

/* doc/cli.md. */
void cli_reference_markdown(const struct cli_verb *const *all, FILE *to);

/* Completion scripts. */
void cli_reference_bash(const struct cli_verb *const *all, FILE *to);
void cli_reference_zsh(const struct cli_verb *const *all, FILE *to);

#endif
