/*
 * A vTPM of a host in the hands of this program: powered on and started, as a machine would, and
 * shut down in order, so that nobody pays with lockouts for a lost Shutdown.
 */
#ifndef CLI_VTPM_SESSION_H
#define CLI_VTPM_SESSION_H

#include "base/reader.h"
#include "cli/client.h"

#define VTPM_COMMAND_MAX 4096 /* bytes of a command or a response */

struct vtpm_session {
        struct client *client;
        char name[TCB_NAME_MAX + 1];
        int control; /* QEMU's channels; -1 when closed */
        int data;
};

/* ERR_CONFLICT while a VM or somebody else uses the vTPM. */
int vtpm_session_open(struct cli *cli, const char *name, struct vtpm_session *ret_session,
                      struct err *err) MUST_CHECK;

/* Runs one whole command; ret_response has room for VTPM_COMMAND_MAX. */
int vtpm_session_run(struct vtpm_session *session, struct bytes command, uint8_t *ret_response,
                     size_t *ret_len, struct err *err) MUST_CHECK;

/* Flushes what programs that have gone left loaded; sessions stay, they are saved by name. */
int vtpm_session_flush_objects(struct vtpm_session *session, struct err *err) MUST_CHECK;

/* Shuts the TPM down and returns when the host has taken it back. Idempotent. */
void vtpm_session_close(struct vtpm_session *session);

/*
 * The length of the command or response that these bytes begin: 0 while its header is not whole.
 * ERR_MALFORMED for a size that no command has.
 */
int vtpm_frame_size(struct bytes bytes, size_t *ret_size, struct err *err) MUST_CHECK;

#endif
