/*
 * What main() does around a verb: signals, parsing, the error's words, the exit code.
 */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "cli/cli.h"

/* Makes SIGINT and SIGTERM known to cli_interrupted() and ignores SIGPIPE. */
int cli_catch_signals(struct err *err) MUST_CHECK;

/* The whole command: parses, runs or explains, prints the error. Returns the exit code. */
int cli_run(const struct cli_verb *const *all, int argc, char *const *argv);

#endif
