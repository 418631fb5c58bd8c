#include "base/err.h"

/* What err.h tells the analyzers is about the callers; here are the functions themselves. */
#undef err_set
#undef err_set_errno
#undef err_wrap
#undef err_hint

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
        const char *name;
        const char *text;
        int exit_code;
} rows[ERR_INDEX_COUNT] = {
    [ERR_INDEX_OK] = {"OK", "done", 0},
#define ERR_ROW(name_, exit_, text_) [ERR_INDEX_##name_] = {#name_, text_, exit_},
#include "base/err.def"
#undef ERR_ROW
};

static char names[ERR_INDEX_COUNT][24];

static unsigned index_of(int code)
{
        if (code > 0 || code <= -(int)ERR_INDEX_COUNT)
                return ERR_INDEX_FAILED;
        return (unsigned)-code;
}

int err_set(struct err *err, int code, const char *fmt, ...)
{
        va_list args;

        /* A code that a peer sent may say "fine": what is reported as an error stays one. */
        err->code = code < 0 ? code : ERR_FAILED;
        err->hint[0] = '\0';
        va_start(args, fmt);
        (void)vsnprintf(err->text, sizeof(err->text), fmt, args);
        va_end(args);
        return err->code;
}

static int code_of_errno(int errnum)
{
        switch (errnum) {
        case ENOENT:
                return ERR_NOT_FOUND;
        case EEXIST:
                return ERR_CONFLICT;
        case EACCES:
        case EPERM:
                return ERR_NOT_PERMITTED;
        case ENOMEM:
                return ERR_NO_MEMORY;
        case ECONNREFUSED:
        case ECONNRESET:
        case EPIPE:
                return ERR_UNREACHABLE;
        case ETIMEDOUT:
                return ERR_TIMEOUT;
        case EINTR:
                return ERR_INTERRUPTED;
        default:
                return ERR_IO;
        }
}

int err_set_errno(struct err *err, int errnum, const char *fmt, ...)
{
        char context[ERR_TEXT_MAX];
        va_list args;

        va_start(args, fmt);
        (void)vsnprintf(context, sizeof(context), fmt, args);
        va_end(args);
        return err_set(err, code_of_errno(errnum), "%s: %s", context, strerror(errnum));
}

int err_wrap(struct err *err, const char *fmt, ...)
{
        char inner[ERR_TEXT_MAX];
        va_list args;
        int n;

        if (err->code == ERR_OK)
                err->code = ERR_FAILED;
        memcpy(inner, err->text, sizeof(inner));
        va_start(args, fmt);
        n = vsnprintf(err->text, sizeof(err->text), fmt, args);
        va_end(args);
        if (n >= 0 && (size_t)n < sizeof(err->text))
                (void)snprintf(err->text + n, sizeof(err->text) - (size_t)n, ": %s", inner);
        return err->code;
}

int err_hint(struct err *err, const char *fmt, ...)
{
        va_list args;

        va_start(args, fmt);
        (void)vsnprintf(err->hint, sizeof(err->hint), fmt, args);
        va_end(args);
        return err->code;
}

const char *err_name(int code)
{
        unsigned i = index_of(code);

        /* One process, one thread: the lower-case form is made on first use. */
        if (names[i][0] == '\0') {
                const char *from = rows[i].name;
                for (size_t k = 0; from[k] != '\0' && k + 1 < sizeof(names[i]); k++)
                        names[i][k] = (char)(from[k] == '_' ? '-' : from[k] | 0x20);
        }
        return names[i];
}

const char *err_public_text(int code)
{
        return rows[index_of(code)].text;
}

int err_exit_code(int code)
{
        return rows[index_of(code)].exit_code;
}

int err_from_wire(unsigned number)
{
        if (number >= ERR_INDEX_COUNT)
                return ERR_FAILED;
        return -(int)number;
}

unsigned err_to_wire(int code)
{
        return index_of(code);
}
