/*
 * A private temporary directory that disappears with its files.
 */
#ifndef IMAGE_SCRATCH_H
#define IMAGE_SCRATCH_H

#include <limits.h>

#include "base/err.h"

struct scratch {
        char path[PATH_MAX]; /* "" while there is none */
};

/* Makes a directory of mode 0700 under TMPDIR or /tmp. */
int scratch_init(struct scratch *scratch, struct err *err) MUST_CHECK;

/* Removes the plain files in it and the directory. */
void scratch_done(struct scratch *scratch);
#define AUTO_SCRATCH CLEANUP(scratch_done)

#endif
