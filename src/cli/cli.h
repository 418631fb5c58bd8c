/*
 * The frame of the command line. A verb is one row of a table: noun, verb, arguments, words for
 * the user, options, function. The same rows give parsing, --help, catena(1), the completions and
 * doc/cli.md. To add a verb write its row in the noun's file and, for a new file, its name in
 * verbs.def and meson.build.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define CLI_ARGS_MAX    64   /* positional arguments of one command */
#define CLI_VALUES_MAX  64   /* options given to one command */
#define CLI_OPTIONS_MAX 24   /* options that a verb may have */
#define CLI_STATE_MAX   4096 /* bytes of the state path, with its NUL */

struct cli;

enum cli_option_flags {
        CLI_REQUIRED = 1 << 0, /* the verb does not run without it */
        CLI_REPEATED = 1 << 1, /* may be given more than once; see cli_option_at() */
};

struct cli_option {
        const char *name;     /* "nonce" for --nonce; NULL ends the array */
        char letter;          /* 'n' for -n, or 0; 'f' and 'h' are taken */
        const char *argument; /* "HEX", or NULL for a switch */
        const char *help;     /* one line, lower case, no full stop */
        unsigned flags;       /* enum cli_option_flags */
};

struct cli_verb {
        const char *noun; /* NULL ends the array */
        const char *verb; /* "" where the noun alone is the command: catena attest VM */
        /*
         * The synopsis, which also says how many there are: words apart by a space, [WORD]
         * optional, WORD... one or more, [WORD...] any number; a -- is shown but not counted.
         */
        const char *arguments;
        const char *help;                 /* one line, lower case, no full stop */
        const char *details;              /* further paragraphs apart by "\n\n", or NULL */
        const struct cli_option *options; /* ends with {0}; NULL when there are none */
        /* Returns 0 or a code of err.def with its words in err; main() prints them. */
        int (*run)(struct cli *cli, struct err *err);
};

enum cli_format { CLI_TABLE, CLI_JSON };

struct cli_value {
        const struct cli_option *option;
        const char *text; /* NULL for a switch */
};

/* One parsed command line. Verbs use the getters below; all texts live as long as argv. */
struct cli {
        const struct cli_verb *const *all; /* every array of verbs, ends with NULL */
        const struct cli_verb *verb;
        enum cli_format format;
        char state[CLI_STATE_MAX]; /* of --state, CATENA_STATE or the default; may not exist */
        bool state_given;          /* by --state or CATENA_STATE */
        const char *args[CLI_ARGS_MAX];
        size_t n_args;
        struct cli_value values[CLI_VALUES_MAX];
        size_t n_values;
        const char *help_noun; /* set by --help and where a verb is missing: what to explain */
        bool want_help;
        bool want_version;
        bool printed;  /* a JSON document went to stdout: no error document may follow */
        bool progress; /* a progress line stands on the terminal */
};

/* The positional argument i (0 is the first after noun and verb), or NULL. */
const char *cli_arg(const struct cli *cli, size_t i);

/* The value of an option of the verb, the last one if it was repeated, or NULL if not given. */
const char *cli_option(const struct cli *cli, const char *name);

/* The i-th value of a repeated option in the order given, or NULL after the last. */
const char *cli_option_at(const struct cli *cli, const char *name, size_t i);

/* Whether a switch was given. */
bool cli_switch(const struct cli *cli, const char *name);

/*
 * The value of an option as a decimal number from min to max; fallback where it is not given.
 * Error: ERR_USAGE, naming the option and the range.
 */
int cli_option_number(const struct cli *cli, const char *name, uint64_t min, uint64_t max,
                      uint64_t fallback, uint64_t *ret_number, struct err *err) MUST_CHECK;

/*
 * Whether SIGINT or SIGTERM came since the start. Verbs that wait look at it after EINTR, clean up
 * and return ERR_INTERRUPTED. A second signal ends the program at once.
 */
bool cli_interrupted(void);

#endif
