/*
 * Chosen writes of the program itself fail: the n-th write(), pwrite(), fsync(), fdatasync() or
 * renameat() after arming, or all from it on. Link with faultwrite_args of meson.build.
 */
#ifndef TESTS_LIB_FAULTWRITE_H
#define TESTS_LIB_FAULTWRITE_H

#include <stdbool.h>

enum faultwrite_kind {
        FAULTWRITE_FULL,  /* ENOSPC, nothing written */
        FAULTWRITE_EIO,   /* I/O error, nothing written */
        FAULTWRITE_SHORT, /* half of the bytes are written, and then ENOSPC */
        FAULTWRITE_COUNT,
};

/* The nth from now on fails in this way, once or, if it stays, with all that follow. */
void faultwrite_arm(enum faultwrite_kind kind, unsigned nth, bool stays);

/* From now on all works again. Returns whether any has failed. */
bool faultwrite_heal(void);

#endif
