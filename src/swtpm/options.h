/*
 * Command lines by a table: an option that the table does not name is an error that names it, and
 * so is one that is given twice. An option that is taken but does not mean here what it means to
 * swtpm has a note, which is for the log.
 */
#ifndef SWTPM_OPTIONS_H
#define SWTPM_OPTIONS_H

#include <stdio.h>

#include "swtpm/keyval.h"

#define OPTIONS_NOTES_MAX 8

enum options_kind {
        OPTIONS_FLAG,   /* bool */
        OPTIONS_TEXT,   /* char[size], not empty */
        OPTIONS_CHOICE, /* char[size], one of choices */
        OPTIONS_NUMBER, /* int */
        OPTIONS_KEYS,   /* the structure of keys */
};

struct options_row {
        const char *name; /* "--ctrl" */
        enum options_kind kind;
        size_t offset;
        size_t size;         /* of a text or choice, with its NUL */
        const char *letters; /* other names, separated by blanks; may be NULL */
        const struct keyval_table *keys;
        const char *choices;
        const char *note;
};

struct options_table {
        const struct options_row *rows;
        size_t n;
};

struct options_notes {
        const struct options_row *rows[OPTIONS_NOTES_MAX];
        size_t n;
};

/*
 * Reads all of argv[0..argc-1], "--name value" or "--name=value", into *ret, whose other members
 * stay. ret_notes gets the rows with notes that were used. Errors: ERR_USAGE.
 */
int options_parse(const struct options_table *table, int argc, char *const *argv, void *ret,
                  struct options_notes *ret_notes, struct err *err) MUST_CHECK;

/* For --help: every option with what it takes, a line each, and what it does not mean. */
void options_print(const struct options_table *table, FILE *out);

#endif
