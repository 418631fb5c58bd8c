/*
 * The list files that the image puts into the guest (/etc/catena/modules, /etc/catena/programs):
 * one absolute path a line, in the order they are used; empty lines and lines that begin with '#'
 * are left out.
 */
#ifndef AGENT_LIST_H
#define AGENT_LIST_H

#include <limits.h>
#include <stddef.h>

#include "base/err.h"

#define LIST_ENTRIES_MAX 128
#define LIST_BYTES_MAX   (64U << 10)

struct list {
        char *text; /* the file's bytes with each line ended by NUL */
        const char *paths[LIST_ENTRIES_MAX];
        size_t n;
};

/*
 * Parses len bytes. ERR_MALFORMED names the line: a path that is not absolute, has a "..", a
 * control character or is too long; ERR_LIMIT: too many. list_done() the result.
 */
int list_parse(const void *data, size_t len, struct list *ret_list, struct err *err) MUST_CHECK;

/* Reads and parses a file; a missing one is an empty list. */
int list_read(const char *path, struct list *ret_list, struct err *err) MUST_CHECK;

void list_done(struct list *list);
#define AUTO_LIST CLEANUP(list_done)

#endif
