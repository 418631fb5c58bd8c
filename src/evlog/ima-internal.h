/*
 * What the two readers of IMA lists share.
 */
#ifndef EVLOG_IMA_INTERNAL_H
#define EVLOG_IMA_INTERNAL_H

#include "evlog/ima.h"

/* A cleared entry at the end of the list; the caller counts it when it is whole. */
int ima_log_next(struct ima_log *log, size_t *room, struct ima_entry **ret_entry, struct err *err);

/* ima-ascii.c: the same contract as ima_log_parse(). */
int ima_ascii_parse(struct bytes input, struct ima_log **ret_log, struct err *err);

bool ima_is_zero(struct bytes bytes);

#endif
