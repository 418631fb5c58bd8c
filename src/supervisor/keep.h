/*
 * Descriptors kept under names, each set with a record that nobody here looks into. Both numbers
 * are limited: whoever puts without an end is refused, and what was kept before stays.
 */
#ifndef SUPERVISOR_KEEP_H
#define SUPERVISOR_KEEP_H

#include <stddef.h>

#include "base/err.h"
#include "base/reader.h"
#include "base/table.h"
#include "wire/supervisor.h"

struct kept {
        struct table_entry by_name;
        char name[SUPERVISOR_NAME_MAX + 1];
        int fds[SUPERVISOR_FDS_MAX];
        size_t n_fds;
        size_t len; /* of record */
        uint8_t record[];
};

struct keep;

/* Room for so many descriptors; as many sets at most. */
int keep_new(size_t fds_max, struct keep **ret_keep, struct err *err) MUST_CHECK;
void keep_free(struct keep *keep);
DEFINE_CLEANUP(struct keep *, keep_free)
#define AUTO_KEEP CLEANUP(keep_free_p)

/*
 * Keeps the descriptors under the name, in place of what was kept there; takes them (set to -1)
 * only on success. ERR_MALFORMED: no name. ERR_LIMIT: no room, and nothing has changed.
 */
int keep_put(struct keep *keep, struct bytes name, struct bytes record, int *fds, size_t n_fds,
             struct err *err) MUST_CHECK;

/* Closes what is kept under the name, if anything is. */
void keep_drop(struct keep *keep, struct bytes name);

/* Closes all. */
void keep_clear(struct keep *keep);

/* All sets, one after the other in no order; NULL: from the start, and at the end. */
const struct kept *keep_next(const struct keep *keep, const struct kept *after);

/* How many sets and descriptors are kept. */
size_t keep_count(const struct keep *keep);
size_t keep_count_fds(const struct keep *keep);

#endif
