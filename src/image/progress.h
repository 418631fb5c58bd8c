/*
 * What the builder does right now, told to whoever called it.
 */
#ifndef IMAGE_PROGRESS_H
#define IMAGE_PROGRESS_H

#include "base/macro.h"

struct image_progress {
        void (*say)(void *user, const char *what); /* what: a few words, no full stop */
        void *user;
};

/* Formats and tells; progress may be NULL. */
void image_say(const struct image_progress *progress, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
