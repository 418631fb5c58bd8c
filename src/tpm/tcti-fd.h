/*
 * A TCTI of our own: raw TPM commands and responses on a connected stream socket, framed by the
 * TPM's own header. While it waits it serves a second descriptor, so that one thread can be both
 * the client of an engine and the store that the engine waits for.
 */
#ifndef TPM_TCTI_FD_H
#define TPM_TCTI_FD_H

#include <tss2/tss2_tcti.h>

#include "tpm/tpm.h"

/*
 * Makes the context; tss2 calls do not own it. After a timeout, a closed peer or a malformed
 * header the stream has lost its framing and every later command fails.
 */
int tcti_fd_new(const struct tpm_fd_options *options, TSS2_TCTI_CONTEXT **ret_tcti,
                struct err *err) MUST_CHECK;
void tcti_fd_free(TSS2_TCTI_CONTEXT *tcti);

/* What went wrong last in words; code ERR_OK if nothing did. */
const struct err *tcti_fd_error(const TSS2_TCTI_CONTEXT *tcti);

#endif
