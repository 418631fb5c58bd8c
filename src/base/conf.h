/*
 * Configuration files: INI, read into a structure by a table of keys. An unknown section or key,
 * a value out of range and a line that is none are errors with the file's name and line.
 */
#ifndef BASE_CONF_H
#define BASE_CONF_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define CONF_FILE_MAX (1U << 20)

enum conf_kind {
        CONF_TEXT,   /* char[size] */
        CONF_NUMBER, /* uint64_t */
        CONF_CHOICE, /* char[size], one of choices */
};

struct conf_key {
        const char *section;
        const char *name;
        enum conf_kind kind;
        size_t offset; /* in the structure */
        size_t size;   /* of a text, with its NUL */
        const char *fallback;
        uint64_t min; /* of a number */
        uint64_t max;
        const char *choices; /* "auto kvm tcg" */
        const char *doc;     /* one sentence for the manual */
};

/*
 * Sets every key's fallback, then reads the file; a missing file is fine. Fields that the table
 * does not name are left alone. Errors: ERR_USAGE with "file:line: what".
 */
int conf_load(const char *path, const struct conf_key *keys, size_t n_keys, void *ret_conf,
              struct err *err) MUST_CHECK;

/* The same from text (len bytes, NUL-terminated); name is for messages. */
int conf_parse(const char *name, const char *text, size_t len, const struct conf_key *keys,
               size_t n_keys, void *ret_conf, struct err *err) MUST_CHECK;

#endif
