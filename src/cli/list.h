/*
 * The verbs that list what a host has: all answers of one kind, as a table or as one document.
 */
#ifndef CLI_LIST_H
#define CLI_LIST_H

#include <jansson.h>

#include "cli/client.h"

struct list;

struct list_kind {
        const char *key;            /* of the array in the document: "vms" */
        const char *const *columns; /* as cli_table_new() takes them */
        uint16_t request;
        const void *message; /* what the request says */
        uint16_t answer;
        /* Takes one answer to list_add(); its error ends the verb. */
        int (*row)(struct list *list, const struct wire_frame *frame, struct err *err);
};

/*
 * Adds one row: its object of the document, whose reference is taken also on errors (NULL: out of
 * memory while building), and its cells as cli_table_add() takes them.
 */
int list_add(struct list *list, json_t *object, const char *const *cells,
             struct err *err) MUST_CHECK;

/* Asks the host and prints; nothing is printed unless all answers came. */
int list_run(struct cli *cli, const struct list_kind *kind, struct err *err) MUST_CHECK;

#endif
