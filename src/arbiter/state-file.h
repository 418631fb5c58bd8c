/*
 * The software pTPM's state on disk: "CTPS", format, generation, length, blob, SHA-256 of all
 * before. Written beside the old one and renamed, so that a crash leaves the old or the new.
 */
#ifndef ARBITER_STATE_FILE_H
#define ARBITER_STATE_FILE_H

#include <stdint.h>

#include "base/err.h"
#include "base/reader.h"

#define STATE_FILE_NAME "ptpm.state"

struct state_file {
        uint64_t generation; /* 0: there was no file */
        uint8_t *blob;       /* free() it */
        size_t len;
};

/* ERR_DAMAGED for anything but a whole file of ours; a missing file is generation 0, no blob. */
int state_file_load(int dir, struct state_file *ret_state, struct err *err) MUST_CHECK;
int state_file_save(int dir, uint64_t generation, struct bytes blob, struct err *err) MUST_CHECK;

#endif
