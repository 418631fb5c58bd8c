/*
 * A directory that swtpm keeps a TPM's state in, while nobody uses it: for import and export.
 */
#ifndef SWTPM_THEIRS_H
#define SWTPM_THEIRS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/secret.h"

struct theirs {
        int dir;
        int lock; /* swtpm's own, where it has left a lock file */
};

/*
 * Opens the directory and holds swtpm's lock until theirs_done(): while swtpm serves, one TPM would
 * be two. Errors: ERR_CONFLICT (swtpm runs), ERR_NOT_PERMITTED (root in the directory of another
 * user, who could not use what comes out), ERR_NOT_FOUND.
 */
int theirs_claim(const char *path, struct theirs *ret_theirs, struct err *err) MUST_CHECK;
void theirs_done(struct theirs *theirs);

/*
 * The permanent state, opened with key where it is encrypted; wipe and free() it. ERR_CONFLICT for
 * a VM that swtpm has suspended, ERR_MALFORMED also for a file that is a link, ERR_NOT_FOUND
 * without one.
 */
int theirs_read(const struct theirs *theirs, const struct secret *key, uint8_t **ret_permanent,
                size_t *ret_len, struct err *err) MUST_CHECK;

#endif
