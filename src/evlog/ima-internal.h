/*
 * What the two readers of IMA lists share.
 */
#ifndef EVLOG_IMA_INTERNAL_H
#define EVLOG_IMA_INTERNAL_H

#include "evlog/ima.h"

/*
 * A cleared entry at the end of the list, which the caller counts when it is whole; NULL: err
 * says why.
 */
struct ima_entry *ima_log_next(struct ima_log *log, size_t *room, struct err *err);

/* ima-ascii.c: the same contract as ima_log_parse(). */
int ima_ascii_parse(struct bytes input, struct ima_log **ret_log, struct err *err);

/* Whether all bytes are zero: a violation's template digest. */
bool ima_is_zero(struct bytes bytes);

#endif
