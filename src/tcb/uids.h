/*
 * User ids for engines and QEMUs: each process has one that no other has.
 */
#ifndef TCB_UIDS_H
#define TCB_UIDS_H

#include <stdint.h>
#include <sys/types.h>

#define UIDS_MAX 65535 /* from the configured base on, the pTPM's being the first */

struct uids {
        uid_t base;
        uint32_t last; /* given out last; the search goes on behind it */
};

/*
 * The next one that no process of this machine has (getpriority(2) tells), so that a process that
 * runs for long is not met by another when the numbers begin again. If all are taken, the next.
 */
uid_t uids_next(struct uids *uids);

/* That one runs already, started by the TCB before: the search goes on behind it. */
void uids_note(struct uids *uids, uid_t uid);

#endif
