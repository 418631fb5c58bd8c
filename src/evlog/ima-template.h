/*
 * IMA templates: which fields, in which order, and how their bytes are read. Internal to ima.
 */
#ifndef EVLOG_IMA_TEMPLATE_H
#define EVLOG_IMA_TEMPLATE_H

#include "evlog/ima.h"

struct ima_template {
        enum ima_field fields[IMA_FIELDS_MAX];
        size_t count;
        bool is_old; /* "ima": its binary form has no length, its hash pads the name */
};

/*
 * The fields of "ima-sig" or "d-ng|n-ng|sig". ERR_MALFORMED for an unknown name or field, or a
 * field twice.
 */
int ima_template_find(struct bytes name, struct ima_template *ret_template) MUST_CHECK;

/*
 * Splits the entry's template data (entry->data) into its fields and fills the entry. False, with
 * *ret_what saying why, where it does not fit.
 */
bool ima_template_split(const struct ima_template *template, struct ima_entry *entry,
                        const char **ret_what);

#endif
