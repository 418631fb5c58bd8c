/*
 * Errors: a negative code from err.def, and words that every level may put its context before
 * ("start web1: load vTPM state: authentication failed"). The caller owns the struct err, and
 * where a function takes one it is never NULL.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/macro.h"

enum err_index {
        ERR_INDEX_OK = 0,
#define ERR_ROW(name, exit, text) ERR_INDEX_##name,
#include "base/err.def"
#undef ERR_ROW
        ERR_INDEX_COUNT,
};

enum err_code {
        ERR_OK = 0,
#define ERR_ROW(name, exit, text) ERR_##name = -(int)ERR_INDEX_##name,
#include "base/err.def"
#undef ERR_ROW
};

#define ERR_TEXT_MAX 512 /* bytes, with the terminating NUL; longer text is cut */
#define ERR_HINT_MAX 256

struct err {
        int code;                /* ERR_OK or a code of err.def */
        char text[ERR_TEXT_MAX]; /* what happened, context first */
        char hint[ERR_HINT_MAX]; /* what to do about it, or "" */
};

/* Sets code and text, forgets an earlier hint. Returns the code; ERR_OK becomes ERR_FAILED. */
int err_set(struct err *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Like err_set() for a failed system call: picks the code for errnum and appends its text. */
int err_set_errno(struct err *err, int errnum, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts "context: " before the text. Returns the code that err holds (ERR_FAILED if none). */
int err_wrap(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Says what the user can do. Keeps the code and the text; returns the code. */
int err_hint(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

#if defined(__clang_analyzer__) || defined(CATENA_ANALYZER)
/*
 * Analyzers see one file at a time and would believe that an error's code can be 0, that is, that
 * a function can fail and its caller go on. This tells them; compilers never see it.
 */
static inline int err_negative(const struct err *err, int code)
{
        if (code >= 0 || err->code != code)
                __builtin_unreachable();
        return code;
}
#define err_set(e, ...)       err_negative(e, err_set(e, __VA_ARGS__))
#define err_set_errno(e, ...) err_negative(e, err_set_errno(e, __VA_ARGS__))
#define err_wrap(e, ...)      err_negative(e, err_wrap(e, __VA_ARGS__))
#define err_hint(e, ...)      err_negative(e, err_hint(e, __VA_ARGS__))
#endif

/* The name of a code in lower case ("not-trusted"), its public text, its exit code. */
const char *err_name(int code);
const char *err_public_text(int code);
int err_exit_code(int code);

/* The code with this number as a peer sent it; anything unknown is ERR_FAILED. */
int err_from_wire(unsigned number);
unsigned err_to_wire(int code);

#endif
