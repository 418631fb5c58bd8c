/*
 * The store of one vTPM that has no trusted core behind it: a file in the state directory
 * (STATE_FILE_NAME), or the file or block device that a file:// URI names.
 *
 *   0      header A     8 KiB            body A, STATE_BODY_MAX
 *   4 KiB  header B     8 KiB + that     body B
 *
 * A save writes the body that the newest header does not name, then, when that is durable, the
 * other header: within one sector, with the body's length and digest. So a crash leaves the old or
 * the new, and anything else that does not fit is damage, which is reported and never made good by
 * an older save.
 *
 * With a passphrase the bodies are sealed (store/sealed.h) for this VM's UUID and this save's
 * number; without one they are in clear, and everybody who reads the file has the TPM's keys. An
 * older copy of the whole file put back in its place is not detected: that takes an anchor outside
 * of it, which only the trusted core has.
 */
#ifndef SWTPM_STATE_FILE_H
#define SWTPM_STATE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/secret.h"
#include "swtpm/state-format.h"

#define STATE_FILE_NAME  "tpm2-00.catena"
#define STATE_SWTPM_NAME "tpm2-00.permall" /* what swtpm keeps in the same directory */

struct state_place {
        const char *dir;              /* a directory, or NULL */
        const char *file;             /* else a file or a block device */
        unsigned mode;                /* of a new file */
        uint8_t uuid[STATE_UUID_LEN]; /* of the VM; zeros: not known */
};

enum state_expect {
        STATE_ANY,     /* what is there, or a new one */
        STATE_FRESH,   /* there must be none: ERR_CONFLICT */
        STATE_REPLACE, /* a new one, whatever is there */
        STATE_THERE,   /* there must be one: ERR_NOT_FOUND */
};

struct state_file;

/*
 * Opens and locks it. secret: see passphrase_derive(); NULL for none. A new one has no content
 * yet: it is there with the first save. Errors: ERR_CONFLICT (in use, or something else is there),
 * ERR_DAMAGED, ERR_NOT_PERMITTED (sealed, and no or a wrong passphrase; or not sealed, and a
 * passphrase), ERR_ROLLBACK (another VM's), ERR_IO, and those of expect.
 */
int state_file_open(const struct state_place *place, const struct secret *passphrase,
                    enum state_expect expect, struct state_file **ret_state,
                    struct err *err) MUST_CHECK;
void state_file_close(struct state_file *state);
DEFINE_CLEANUP(struct state_file *, state_file_close)
#define AUTO_STATE_FILE CLEANUP(state_file_close_p)

/* What was saved last; empty for a new one. The caller may change it, and then save it. */
struct state_content *state_file_content(struct state_file *state);

/* False until the first save of a new one. */
bool state_file_exists(const struct state_file *state);
bool state_file_is_sealed(const struct state_file *state);

/* Forgets changes of the content since the last save. */
int state_file_revert(struct state_file *state, struct err *err) MUST_CHECK;

/* Makes the content durable. On an error the earlier save stands; call it again later. */
int state_file_save(struct state_file *state, struct err *err) MUST_CHECK;

#endif
