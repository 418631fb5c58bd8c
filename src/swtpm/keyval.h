/*
 * Option strings of swtpm's kind, "dir=/var/lib/x,mode=0600": a list of keys with values, read into
 * a structure by a table. What the table does not name is an error that names it.
 */
#ifndef SWTPM_KEYVAL_H
#define SWTPM_KEYVAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define KEYVAL_TEXT_MAX 8192 /* characters of one option string */

enum keyval_kind {
        KEYVAL_TEXT,   /* char[size], not empty */
        KEYVAL_NUMBER, /* int, 0 to INT_MAX */
        KEYVAL_MODE,   /* unsigned, octal, at most 0777 */
        KEYVAL_CHOICE, /* char[size], one of choices */
        KEYVAL_FLAG,   /* bool: the key alone, or =true, =false */
};

struct keyval_key {
        const char *name;
        enum keyval_kind kind;
        size_t offset; /* in the structure */
        size_t size;   /* of a text or choice, with its NUL */
        const char *choices;
};

struct keyval_table {
        const struct keyval_key *keys;
        size_t n;
};

/*
 * Reads text into *ret, whose other members stay. option is for messages ("--ctrl"). Errors:
 * ERR_USAGE for an unknown key, a key without a value, twice the same key, a bad or overlong
 * value.
 */
int keyval_parse(const char *option, const char *text, const struct keyval_table *table, void *ret,
                 struct err *err) MUST_CHECK;

/* One value for one key; errors as above. */
int keyval_put(const char *option, const struct keyval_key *key, const char *value, void *ret,
               struct err *err) MUST_CHECK;

/* Whether word is one of the words in choices, which are separated by blanks. */
bool keyval_is_choice(const char *choices, const char *word);

#endif
