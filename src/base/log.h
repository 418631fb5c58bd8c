/*
 * The log of a program. Libraries return errors; the program logs once, where it decides.
 * Lines go to stderr as "program: text vm=web1 op=start err=..."; when stderr is the journal they
 * carry its priority prefix (sd-daemon(3)). Never log a secret.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"

enum log_level {
        LOG_LEVEL_ERROR = 3,
        LOG_LEVEL_WARNING = 4,
        LOG_LEVEL_INFO = 6,
        LOG_LEVEL_DEBUG = 7
};

/* The fixed fields; those left NULL are not printed. */
struct log_fields {
        const char *vm;
        const char *peer;
        const char *op;
        const struct err *err;
};

/* Name printed before each line and the least important level that is printed. */
void log_init(const char *program, enum log_level max_level);

/*
 * From now on nobody waits for whoever reads the log, as guests would: where stderr takes nothing
 * just now the line is lost, and the next one that goes out says how many were. Calls poll(2),
 * which not every sandbox here allows.
 */
void log_do_not_wait(void);

/* One line; fields may be NULL. Control characters in it become '?'. */
void log_write(enum log_level level, const struct log_fields *fields, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

#define log_error(fields, ...)   log_write(LOG_LEVEL_ERROR, fields, __VA_ARGS__)
#define log_warning(fields, ...) log_write(LOG_LEVEL_WARNING, fields, __VA_ARGS__)
#define log_info(fields, ...)    log_write(LOG_LEVEL_INFO, fields, __VA_ARGS__)
#define log_debug(fields, ...)   log_write(LOG_LEVEL_DEBUG, fields, __VA_ARGS__)

#endif
