/*
 * The commands that set up a TPM for its first guest, by the platform with its empty authorisation
 * (TPM 2.0 Part 3): a certificate in NV, and the banks of PCRs.
 */
#ifndef SWTPM_SETUP_COMMAND_H
#define SWTPM_SETUP_COMMAND_H

#include <stdbool.h>

#include "base/err.h"
#include "base/reader.h"
#include "base/writer.h"

#define SETUP_NV_CHUNK 1024 /* bytes that libtpms takes in one TPM2_NV_Write */

enum setup_bank { SETUP_SHA1, SETUP_SHA256, SETUP_SHA384, SETUP_SHA512, SETUP_BANKS };

/* An index that everybody reads and the platform writes; lockable: until it is locked for good. */
void setup_put_nv_define(struct writer *w, uint32_t index, uint16_t size, bool lockable);
void setup_put_nv_write(struct writer *w, uint32_t index, struct bytes data, uint16_t offset);
void setup_put_nv_lock(struct writer *w, uint32_t index);

/* All PCRs of the banks in mask (1 << enum setup_bank), from the next start on; none of others. */
void setup_put_allocate(struct writer *w, unsigned mask);

/* TPM2_GetCapability of one fixed property (TPM_PT, Part 2, 6.13), and its value. */
void setup_put_get_property(struct writer *w, uint32_t property);
int setup_get_property(struct bytes response, uint32_t property, uint32_t *ret_value,
                       struct err *err) MUST_CHECK;

/* "sha1,sha256" to a mask; ERR_USAGE names the word that is no bank. */
int setup_parse_banks(const char *text, unsigned *ret_mask, struct err *err) MUST_CHECK;

#endif
