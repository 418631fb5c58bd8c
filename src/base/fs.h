/*
 * Whole files: read with a cap, written so that a crash leaves the old or the new one.
 */
#ifndef BASE_FS_H
#define BASE_FS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/*
 * Reads a regular file (or, with at = AT_FDCWD and a path, also a pipe or a securityfs file)
 * of at most max bytes. *ret_data is NUL-terminated beyond its length; free() it.
 * Errors: ERR_NOT_FOUND, ERR_NOT_PERMITTED, ERR_LIMIT (larger than max), ERR_IO.
 */
int fs_read_file_at(int at, const char *path, size_t max, uint8_t **ret_data, size_t *ret_len,
                    struct err *err) MUST_CHECK;
int fs_read_file(const char *path, size_t max, uint8_t **ret_data, size_t *ret_len,
                 struct err *err) MUST_CHECK;

/*
 * Reads a regular file that is no symbolic link, and waits for nobody: for a directory that belongs
 * to another user. Errors: as above; ERR_MALFORMED for a link and for what is no regular file.
 */
int fs_read_plain_file_at(int at, const char *name, size_t max, uint8_t **ret_data, size_t *ret_len,
                          struct err *err) MUST_CHECK;

/* The same for an open descriptor, from its present offset. */
int fs_read_fd(int fd, size_t max, uint8_t **ret_data, size_t *ret_len, struct err *err) MUST_CHECK;

/* Writes name in the directory at: temporary file, fsync, rename, fsync of the directory. */
int fs_write_file_at(int at, const char *name, const void *data, size_t len, mode_t mode,
                     struct err *err) MUST_CHECK;
int fs_write_file(const char *path, const void *data, size_t len, mode_t mode,
                  struct err *err) MUST_CHECK;

/* Makes a directory and its missing parents with this mode; an existing one is left as it is. */
int fs_make_dir(const char *path, mode_t mode, struct err *err) MUST_CHECK;

/* Removes a directory with everything in it; links are removed, not followed. */
int fs_remove_tree(const char *path, struct err *err) MUST_CHECK;

/* Joins with '/', into a PATH_MAX buffer; ERR_LIMIT if it does not fit. */
int fs_join(char *ret_path, size_t size, const char *dir, const char *name,
            struct err *err) MUST_CHECK;

#endif
