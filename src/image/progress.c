#include "image/progress.h"

#include <stdarg.h>
#include <stdio.h>

#define WORDS_MAX 512

void image_say(const struct image_progress *progress, const char *fmt, ...)
{
        char words[WORDS_MAX];
        va_list args;

        if (progress == NULL || progress->say == NULL)
                return;
        va_start(args, fmt);
        (void)vsnprintf(words, sizeof(words), fmt, args);
        va_end(args);
        progress->say(progress->user, words);
}
