/*
 * Evidence: a bounded set of named byte strings, in memory, as one byte string for transport and
 * as a directory. Names are paths of one to three safe components (letters, digits, '.', '_',
 * '-', not starting with '.'), so a name never leaves the directory that it is saved in.
 *
 *   challenge.json                 what was asked
 *   host/...                       the host's part
 *   vms/<name>/...                 each VM's part, laid out as a golden boot's folder
 */
#ifndef VERIFY_EVIDENCE_H
#define VERIFY_EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/macro.h"
#include "base/reader.h"
#include "base/writer.h"

#define EVIDENCE_BLOBS_MAX     4096
#define EVIDENCE_BLOB_MAX      (16U << 20) /* bytes of one blob */
#define EVIDENCE_TOTAL_MAX     (64U << 20) /* bytes of all blobs */
#define EVIDENCE_COMPONENT_MAX 64          /* characters between slashes, so of a VM's name */
#define EVIDENCE_PATH_MAX      (3 * EVIDENCE_COMPONENT_MAX + 3)

struct evidence;

/* An empty set; evidence_free() it. Errors: ERR_NO_MEMORY. */
int evidence_new(struct evidence **ret_evidence, struct err *err) MUST_CHECK;
void evidence_free(struct evidence *evidence);
DEFINE_CLEANUP(struct evidence *, evidence_free)
#define AUTO_EVIDENCE CLEANUP(evidence_free_p)

/* One component of a path, such as a VM's name. */
bool evidence_name_is_safe(const char *name);

/*
 * Adds a copy of data under path. ERR_MALFORMED for an unsafe path, ERR_CONFLICT when there is
 * one of that name, ERR_LIMIT beyond the maxima.
 */
int evidence_put(struct evidence *evidence, const char *path, struct bytes data,
                 struct err *err) MUST_CHECK;

/* Puts in place of what is there, if anything. */
int evidence_replace(struct evidence *evidence, const char *path, struct bytes data,
                     struct err *err) MUST_CHECK;

/* Removes a blob; nothing happens when there is none. */
void evidence_remove(struct evidence *evidence, const char *path);

/* The blob of this name as a view into the set, or false. */
bool evidence_get(const struct evidence *evidence, const char *path, struct bytes *ret_data);

/* Every blob in the order of its path's bytes, 0 to evidence_count() - 1. */
size_t evidence_count(const struct evidence *evidence);
const char *evidence_path(const struct evidence *evidence, size_t i);
struct bytes evidence_data(const struct evidence *evidence, size_t i);

/*
 * The names of the VMs below vms/, each once: writes up to max and returns how many there are.
 * ret_names may be NULL when max is 0.
 */
size_t evidence_vms(const struct evidence *evidence, char (*ret_names)[EVIDENCE_COMPONENT_MAX + 1],
                    size_t max);

/* "CEV", version 1, then each blob: u8 path length, path, be32 length, bytes. */
int evidence_encode(const struct evidence *evidence, struct writer *w, struct err *err) MUST_CHECK;
int evidence_decode(struct bytes data, struct evidence **ret_evidence, struct err *err) MUST_CHECK;

/*
 * From and to a directory of the layout above. Symbolic links are never followed below dir and
 * nothing but regular files and the directories of the layout is taken. save makes dir (0700) if
 * it is missing and overwrites files of the same name; it removes nothing.
 */
int evidence_load(const char *dir, struct evidence **ret_evidence, struct err *err) MUST_CHECK;
int evidence_save(const struct evidence *evidence, const char *dir, struct err *err) MUST_CHECK;

#endif
