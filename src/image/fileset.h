/*
 * The files of an initramfs, held in memory and sorted by path, and the newc archive made of
 * them: root's, without times, so that equal files give equal bytes.
 */
#ifndef IMAGE_FILESET_H
#define IMAGE_FILESET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/macro.h"
#include "base/reader.h"
#include "base/writer.h"

#define FILESET_COUNT_MAX 512
#define FILESET_PATH_MAX  255          /* characters */
#define FILESET_FILE_MAX  (64U << 20)  /* bytes of one file */
#define FILESET_TOTAL_MAX (256U << 20) /* bytes of the archive */
#define FILESET_DIGEST    32           /* SHA-256 */

struct fileset_entry {
        char *path;   /* absolute, in the guest */
        char *source; /* where it came from on this machine, or NULL when we made it */
        mode_t mode;  /* type and permissions */
        uint8_t *data;
        size_t len;
        uint8_t digest[FILESET_DIGEST]; /* of data */
};

struct fileset {
        struct fileset_entry entry[FILESET_COUNT_MAX];
        size_t n;
};

/* Releases all entries; the set is empty afterwards. */
void fileset_done(struct fileset *set);
#define AUTO_FILESET CLEANUP(fileset_done)

/*
 * Adds a file with a copy of these bytes, and the directories above it. Paths are absolute and
 * without empty parts, "." and "..". ERR_CONFLICT if the path is there with other bytes (equal
 * ones are no error), ERR_USAGE for a bad path, ERR_LIMIT.
 */
int fileset_add_data(struct fileset *set, const char *path, mode_t permissions, struct bytes data,
                     struct err *err) MUST_CHECK;

/* The same with the bytes of a file of this machine. */
int fileset_add_file(struct fileset *set, const char *path, mode_t permissions, const char *source,
                     struct err *err) MUST_CHECK;

/* Adds a directory (mode 0755) and those above it. */
int fileset_add_dir(struct fileset *set, const char *path, struct err *err) MUST_CHECK;

/* The entry of this path, or NULL; it stays valid until the next addition. */
const struct fileset_entry *fileset_find(const struct fileset *set, const char *path);

/* Appends the archive ("newc", cpio(5)) to w. ERR_LIMIT if it does not fit. */
int fileset_write_cpio(const struct fileset *set, struct writer *w, struct err *err) MUST_CHECK;

#endif
