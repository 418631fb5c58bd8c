#include "image/grubscript.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"

struct command {
        const char *name;
        size_t min_words; /* without the name */
        bool loads;       /* the first argument is a file */
        bool cmdline;     /* and its arguments are a kernel's command line */
        bool more_files;  /* and all others are files too */
};

static const struct command commands[] = {
    {"serial", 0, false, false, false},
    {"terminal_input", 0, false, false, false},
    {"terminal_output", 0, false, false, false},
    {"set", 1, false, false, false},
    {"echo", 0, false, false, false},
    {"linuxefi", 1, true, true, false},
    {"initrdefi", 1, true, false, true},
    {"boot", 0, false, false, false},
};

/* Bytes that GRUB's script takes as they stand. */
static bool is_plain(uint8_t c)
{
        static const char marks[] = " ._=,:/+-@%";

        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               (c != '\0' && strchr(marks, c) != NULL);
}

static int add_event(struct grubscript *script, enum grubscript_kind kind, const char *text,
                     size_t len, struct err *err)
{
        struct grubscript_event *event = &script->event[script->n];

        if (script->n == GRUBSCRIPT_EVENTS_MAX)
                return err_set(err, ERR_LIMIT, "more than %d events", GRUBSCRIPT_EVENTS_MAX);
        if (len >= sizeof(event->text))
                return err_set(err, ERR_LIMIT, "line of %zu bytes", len);
        event->kind = kind;
        memcpy(event->text, text, len);
        event->text[len] = '\0';
        script->n++;
        return 0;
}

static const struct command *find_command(const char *line, size_t len)
{
        for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
                if (strlen(commands[i].name) == len && memcmp(commands[i].name, line, len) == 0)
                        return &commands[i];
        return NULL;
}

/* Files that the words of args name: the first one, or all of them. */
static int add_files(struct grubscript *script, const char *args, bool all, struct err *err)
{
        int rc = 0;

        for (bool first = true; rc == 0 && *args != '\0' && (first || all); first = false) {
                size_t n = strcspn(args, " ");

                rc = add_event(script, GRUBSCRIPT_FILE, args, n, err);
                args += n + strspn(args + n, " ");
        }
        return rc;
}

/* The command is measured before it runs; a kernel's command line after the kernel was read. */
static int add_line(struct grubscript *script, const char *line, bool *ret_boots, struct err *err)
{
        size_t len = strlen(line);
        size_t name_len = strcspn(line, " ");
        const char *args = line[name_len] == '\0' ? line + name_len : line + name_len + 1;
        const struct command *command = find_command(line, name_len);
        int rc;

        if (command == NULL)
                return err_set(err, ERR_UNSUPPORTED, "unknown command: %.40s", line);
        if (command->min_words > 0 && *args == '\0')
                return err_set(err, ERR_MALFORMED, "%s needs an argument", command->name);
        rc = add_event(script, GRUBSCRIPT_COMMAND, line, len, err);
        if (rc == 0 && command->loads)
                rc = add_files(script, args, command->more_files, err);
        if (rc == 0 && command->cmdline)
                rc = add_event(script, GRUBSCRIPT_COMMAND_LINE, args, strlen(args), err);
        *ret_boots = strcmp(command->name, "boot") == 0;
        return rc;
}

/* Words apart by one space each, so that GRUB's joining of words gives the same line again. */
static int copy_line(const uint8_t *data, size_t len, char *ret_line, struct err *err)
{
        if (len >= GRUBSCRIPT_TEXT_MAX)
                return err_set(err, ERR_LIMIT, "%zu bytes long", len);
        for (size_t i = 0; i < len; i++)
                if (!is_plain(data[i]) ||
                    (data[i] == ' ' && (i == 0 || i + 1 == len || data[i + 1] == ' ')))
                        return err_set(err, ERR_UNSUPPORTED, "byte 0x%02x at column %zu", data[i],
                                       i + 1);
        memcpy(ret_line, data, len);
        ret_line[len] = '\0';
        return 0;
}

static bool loads_kernel(const struct grubscript *script)
{
        for (size_t i = 0; i < script->n; i++)
                if (script->event[i].kind == GRUBSCRIPT_COMMAND_LINE)
                        return true;
        return false;
}

static int parse_lines(struct reader *r, struct grubscript *script, struct err *err)
{
        char line[GRUBSCRIPT_TEXT_MAX];
        bool boots = false;
        int rc = 0;

        for (size_t number = 1; rc == 0 && reader_left(r) > 0; number++) {
                const uint8_t *start = r->data + r->pos;
                const uint8_t *end = memchr(start, '\n', reader_left(r));
                size_t len = end == NULL ? reader_left(r) : (size_t)(end - start);

                rc = reader_skip(r, len + (end == NULL ? 0 : 1));
                if (rc < 0 || len == 0 || start[0] == '#')
                        continue;
                if (boots)
                        rc = err_set(err, ERR_UNSUPPORTED, "a command behind boot");
                if (rc == 0)
                        rc = copy_line(start, len, line, err);
                if (rc == 0)
                        rc = add_line(script, line, &boots, err);
                if (rc < 0)
                        return err_wrap(err, "grub.cfg: line %zu", number);
        }
        if (rc == 0 && (!boots || !loads_kernel(script)))
                return err_set(err, ERR_MALFORMED, "grub.cfg: does not boot anything");
        return rc;
}

int grubscript_parse(struct bytes text, struct grubscript *ret_script, struct err *err)
{
        AUTO_FREE struct grubscript *script = calloc(1, sizeof(*script));
        struct reader r = reader_from_bytes(text);
        int rc;

        if (script == NULL)
                return err_set(err, ERR_NO_MEMORY, "grub.cfg");
        rc = parse_lines(&r, script, err);
        if (rc < 0)
                return rc;
        *ret_script = *script;
        return 0;
}
