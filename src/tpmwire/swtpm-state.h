/*
 * The files in which swtpm keeps a TPM's state (tpm2-00.permall): a header of its own around parts
 * with tags, one of which is libtpms' state. Pure: bytes in, bytes out.
 */
#ifndef TPMWIRE_SWTPM_STATE_H
#define TPMWIRE_SWTPM_STATE_H

#include "base/err.h"
#include "base/reader.h"
#include "base/writer.h"

#define SWTPM_STATE_MAX ((160U << 10) + 256) /* bytes of a file: a state, and what is around it */

/*
 * The plain state of a file. Errors: ERR_UNSUPPORTED for a state that is encrypted or of a later
 * format, with words; ERR_MALFORMED with the offset for what is no such file.
 */
int swtpm_state_parse(struct bytes file, struct bytes *ret_state, struct err *err) MUST_CHECK;

/* The file for a plain state, as swtpm 0.5 and later read it. */
void swtpm_state_encode(struct bytes state, struct writer *w);

#endif
