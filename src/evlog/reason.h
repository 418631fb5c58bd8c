/*
 * Reasons: what an appraisal found, each with a stable id (reason.def), a severity and words. A
 * check adds every failure it finds, not only the first. A full list still remembers the worst.
 */
#ifndef EVLOG_REASON_H
#define EVLOG_REASON_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define REASONS_MAX     256
#define REASON_TEXT_MAX 512 /* bytes with the NUL; longer text is cut */

enum reason_severity {
        REASON_NOTE,
        REASON_WARNING, /* worth knowing; does not refuse by itself */
        REASON_FAIL,    /* refuses */
};

struct reason {
        const char *id; /* of reason.def */
        enum reason_severity severity;
        char text[REASON_TEXT_MAX]; /* printable; control characters have become '?' */
};

struct reasons {
        struct reason items[REASONS_MAX];
        size_t count;
        size_t dropped; /* did not fit */
        enum reason_severity worst;
};

/*
 * Adds one; the id must be in reason.def (an unknown one is added as check.failed). The same words
 * under the same id are kept once.
 */
void reasons_add(struct reasons *reasons, const char *id, enum reason_severity severity,
                 const char *fmt, ...) PRINTF_LIKE(4, 5);

/* A check that broke: adds check.failed with the error's words. Never a pass (V-EXC). */
void reasons_add_broken(struct reasons *reasons, const char *check, const struct err *err);

/* Whether any reason refuses; the first with this id that refuses, or NULL. */
bool reasons_failed(const struct reasons *reasons);
const struct reason *reasons_find(const struct reasons *reasons, const char *id);

/* What an id means, or NULL if there is none such. The n-th id of the table, or NULL. */
const char *reason_help(const char *id);
const char *reason_id_at(size_t n);

/* "note", "warning", "fail" */
const char *reason_severity_name(enum reason_severity severity);

#endif
