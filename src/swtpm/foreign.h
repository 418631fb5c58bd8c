/*
 * The state file of swtpm 0.5 and later (tpm2-00.permall): a header, and behind it one TLV with
 * libtpms' permanent state. Written under a key it holds other TLVs and is not read here.
 */
#ifndef SWTPM_FOREIGN_H
#define SWTPM_FOREIGN_H

#include "base/err.h"
#include "base/reader.h"
#include "base/writer.h"

/* The permanent state in a file. ERR_MALFORMED; ERR_UNSUPPORTED: encrypted, or a newer format. */
int foreign_decode(struct bytes file, struct bytes *ret_permanent, struct err *err) MUST_CHECK;

/* The file for a permanent state. */
void foreign_encode(struct bytes permanent, struct writer *w);

#endif
