#include "base/log.h"

#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

static const char *program_name = "catena";
static enum log_level level_max = LOG_LEVEL_INFO;
static bool to_journal;
static bool impatient;
static unsigned lost; /* lines, since the last one that went out */

void log_init(const char *program, enum log_level max_level)
{
        program_name = program;
        level_max = max_level;
        to_journal = getenv("JOURNAL_STREAM") != NULL;
}

void log_do_not_wait(void)
{
        impatient = true;
}

struct line {
        char text[LINE_MAX_BYTES];
        size_t len;
};

static void add(struct line *line, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void add_v(struct line *line, const char *fmt, va_list args) PRINTF_LIKE(2, 0);

static void add_v(struct line *line, const char *fmt, va_list args)
{
        size_t room = sizeof(line->text) - line->len;
        int n = vsnprintf(line->text + line->len, room, fmt, args);

        if (n > 0)
                line->len += (size_t)n < room ? (size_t)n : room - 1;
}

static void add(struct line *line, const char *fmt, ...)
{
        va_list args;

        va_start(args, fmt);
        add_v(line, fmt, args);
        va_end(args);
}

static void add_field(struct line *line, const char *name, const char *value)
{
        if (value != NULL && value[0] != '\0')
                add(line, " %s=\"%s\"", name, value);
}

/* What says so has room for a whole line: a pipe for PIPE_BUF bytes, a socket for more. */
static bool is_taken_now(void)
{
        struct pollfd polled = {.fd = STDERR_FILENO, .events = POLLOUT};

        if (!impatient)
                return true;
        return poll(&polled, 1, 0) == 1 && (polled.revents & POLLOUT) != 0;
}

/* A line that cannot be written has nobody to report it to but the next one. */
static void put_line(const char *text, size_t len)
{
        if (is_taken_now() && write(STDERR_FILENO, text, len) == (ssize_t)len)
                lost = 0;
        else if (lost < UINT_MAX)
                lost++;
}

static void begin(struct line *line, enum log_level level)
{
        if (to_journal)
                add(line, "<%d>", (int)level);
        add(line, "%s: ", program_name);
        if (lost > 0)
                add(line, "(%u lines before this one were lost) ", lost);
}

void log_write(enum log_level level, const struct log_fields *fields, const char *fmt, ...)
{
        struct line line = {.len = 0};
        va_list args;

        if (level > level_max)
                return;
        begin(&line, level);
        va_start(args, fmt);
        add_v(&line, fmt, args);
        va_end(args);
        if (fields != NULL) {
                add_field(&line, "vm", fields->vm);
                add_field(&line, "peer", fields->peer);
                add_field(&line, "op", fields->op);
                if (fields->err != NULL) {
                        add_field(&line, "err", fields->err->text);
                        add_field(&line, "hint", fields->err->hint);
                }
        }
        /* What a peer sent may be in the line: one line stays one line. */
        for (size_t i = 0; i < line.len; i++)
                if ((unsigned char)line.text[i] < 0x20 || line.text[i] == 0x7f)
                        line.text[i] = '?';
        if (line.len > sizeof(line.text) - 2)
                line.len = sizeof(line.text) - 2;
        line.text[line.len++] = '\n';
        put_line(line.text, line.len);
}
