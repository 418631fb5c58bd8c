#include "evlog/reason.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
        const char *id;
        const char *help;
} reason_table[] = {
#define REASON(id, help) {id, help},
#include "evlog/reason.def"
#undef REASON
};

static const char *known_id(const char *id)
{
        for (size_t i = 0; i < ARRAY_SIZE(reason_table); i++)
                if (strcmp(reason_table[i].id, id) == 0)
                        return reason_table[i].id;
        return "check.failed";
}

/* Words may quote what a log or a peer says: nothing of it may steer a terminal. */
static void make_printable(char *text)
{
        for (; *text != '\0'; text++)
                if ((unsigned char)*text < 0x20 || *text == 0x7f)
                        *text = '?';
}

/* Whether the last one, which is complete, was there already. */
static bool is_double(const struct reasons *reasons)
{
        const struct reason *last = &reasons->items[reasons->count - 1];

        for (size_t i = 0; i + 1 < reasons->count; i++)
                if (reasons->items[i].id == last->id &&
                    reasons->items[i].severity == last->severity &&
                    strcmp(reasons->items[i].text, last->text) == 0)
                        return true;
        return false;
}

/* In a full list a refusal takes the place of the last reason that does not refuse. */
static bool make_room(struct reasons *reasons, enum reason_severity severity)
{
        size_t at = reasons->count;

        if (severity != REASON_FAIL)
                return false;
        while (at > 0 && reasons->items[at - 1].severity == REASON_FAIL)
                at--;
        if (at == 0)
                return false;
        memmove(&reasons->items[at - 1], &reasons->items[at],
                (reasons->count - at) * sizeof(reasons->items[0]));
        reasons->count--;
        return true;
}

void reasons_add(struct reasons *reasons, const char *id, enum reason_severity severity,
                 const char *fmt, ...)
{
        struct reason *reason;
        va_list ap;

        if (severity > reasons->worst)
                reasons->worst = severity;
        if (reasons->count == REASONS_MAX) {
                reasons->dropped++;
                if (!make_room(reasons, severity))
                        return;
        }
        reason = &reasons->items[reasons->count++];
        reason->id = known_id(id);
        reason->severity = severity;
        va_start(ap, fmt);
        (void)vsnprintf(reason->text, sizeof(reason->text), fmt, ap);
        va_end(ap);
        make_printable(reason->text);
        if (is_double(reasons))
                reasons->count--;
}

void reasons_add_broken(struct reasons *reasons, const char *check, const struct err *err)
{
        reasons_add(reasons, "check.failed", REASON_FAIL, "%s could not be checked: %s", check,
                    err->text);
}

bool reasons_failed(const struct reasons *reasons)
{
        return reasons->worst == REASON_FAIL;
}

const struct reason *reasons_find(const struct reasons *reasons, const char *id)
{
        for (size_t i = 0; i < reasons->count; i++)
                if (reasons->items[i].severity == REASON_FAIL &&
                    strcmp(reasons->items[i].id, id) == 0)
                        return &reasons->items[i];
        return NULL;
}

const char *reason_help(const char *id)
{
        for (size_t i = 0; i < ARRAY_SIZE(reason_table); i++)
                if (strcmp(reason_table[i].id, id) == 0)
                        return reason_table[i].help;
        return NULL;
}

const char *reason_id_at(size_t n)
{
        return n < ARRAY_SIZE(reason_table) ? reason_table[n].id : NULL;
}

const char *reason_severity_name(enum reason_severity severity)
{
        static const char *const names[] = {"note", "warning", "fail"};

        return names[severity];
}
