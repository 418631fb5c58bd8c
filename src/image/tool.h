/*
 * Runs the Debian tools that the image builder needs (mtools, grub-mkimage, dpkg-deb, apt-get):
 * no shell, a fixed small environment, output caught, and an error that names the package to
 * install when the tool is missing.
 */
#ifndef IMAGE_TOOL_H
#define IMAGE_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define TOOL_OUTPUT_MAX (1U << 20) /* bytes of standard error that are looked at */

struct tool {
        const char *package;     /* Debian package that brings argv[0], for the hint */
        const char *const *argv; /* NULL-terminated; argv[0] is looked up in the system's path */
        const char *dir;         /* working directory, or NULL */
        int stdin_fd;            /* descriptor to read from, or -1 for /dev/null */
        int stdout_fd;           /* descriptor to write to, or -1 for /dev/null */
        bool may_fail;           /* its exit status does not matter */
};

/*
 * Runs the tool and waits. Environment: PATH, HOME, LC_ALL=C, TZ=UTC and SOURCE_DATE_EPOCH
 * (IMAGE_EPOCH), so that equal inputs give equal bytes.
 * Errors: ERR_NOT_FOUND with a hint when the tool is not installed, ERR_FAILED with the last line
 * of its standard error when it fails.
 */
int tool_run(const struct tool *tool, struct err *err) MUST_CHECK;

/* The same, and gives back at most max bytes of standard output, NUL-terminated; free() them. */
int tool_capture(const struct tool *tool, size_t max, uint8_t **ret_data, size_t *ret_len,
                 struct err *err) MUST_CHECK;

/* The time that tools believe in, in seconds: 2023-06-10, the release of Debian 12. */
#define IMAGE_EPOCH "1686355200"

#endif
