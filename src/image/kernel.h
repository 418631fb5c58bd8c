/*
 * Debian's cloud kernel, fetched by apt (which verifies it against the archive's signature) and
 * unpacked, not installed, into a cache directory.
 */
#ifndef IMAGE_KERNEL_H
#define IMAGE_KERNEL_H

#include <limits.h>

#include "base/err.h"
#include "image/progress.h"

#define KERNEL_NAME_MAX 128 /* bytes of a package name, version or release, with the NUL */

struct kernel {
        char package[KERNEL_NAME_MAX]; /* "linux-image-6.1.0-56-cloud-amd64", "" if unknown */
        char version[KERNEL_NAME_MAX]; /* "6.1.192-2", "" if unknown */
        char release[KERNEL_NAME_MAX]; /* "6.1.0-56-cloud-amd64" */
        char image[PATH_MAX];          /* vmlinuz */
        char modules_dir[PATH_MAX];    /* lib/modules/<release> */
};

/*
 * $XDG_CACHE_HOME/catena, or ~/.cache/catena. The directory is made.
 * ERR_NOT_FOUND when neither variable is set.
 */
int kernel_cache_dir(char ret_dir[PATH_MAX], struct err *err) MUST_CHECK;

/* The one kernel of an unpacked package: dir has boot/vmlinuz-* and lib/modules. */
int kernel_open(const char *dir, struct kernel *ret_kernel, struct err *err) MUST_CHECK;

/*
 * Finds out which kernel package linux-image-cloud-amd64 stands for, downloads it into cache
 * unless it is there, and unpacks it. What the cache holds is checked against apt's SHA-256.
 * ERR_NOT_FOUND with a hint when apt knows no such package; tells progress (NULL: nobody) what
 * takes long.
 */
int kernel_fetch(const char *cache, const struct image_progress *progress,
                 struct kernel *ret_kernel, struct err *err) MUST_CHECK;

#endif
