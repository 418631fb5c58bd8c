/*
 * An SQLite VFS that passes everything on to the normal one and lets chosen writes fail: the n-th
 * xWrite, xSync or xTruncate after arming, and all later ones if the fault is to stay. pwritev2()
 * of the program is counted with them: link with -Wl,--wrap=pwritev64v2.
 */
#ifndef TESTS_LIB_FAULTVFS_H
#define TESTS_LIB_FAULTVFS_H

#include <stdbool.h>

#define FAULTVFS_NAME "fault"

enum fault_kind {
        FAULT_FULL,  /* ENOSPC, nothing written */
        FAULT_EIO,   /* I/O error, nothing written */
        FAULT_SHORT, /* half of the bytes are written, then ENOSPC */
        FAULT_COUNT,
};

/* Registers the VFS; once a process. Returns 0 or SQLite's code. */
int faultvfs_register(void);

/* The nth write or sync from now on fails in this way, once or for good (stays). */
void faultvfs_arm(enum fault_kind kind, unsigned nth, bool stays);

/* From now on all works again. */
void faultvfs_heal(void);

/* Whether the armed fault has struck. */
bool faultvfs_has_struck(void);

#endif
