#include "evlog/event-verify.h"

#include <string.h>

#include "evlog/event-type.h"
#include "evlog/uefi.h"

#define CANDIDATES_MAX  5
#define TAG_HEADER_SIZE 8

/* What may have been hashed, and what it means if it was. */
struct candidates {
        struct {
                struct bytes data;
                enum event_verdict verdict;
        } list[CANDIDATES_MAX];
        size_t count;
        enum event_verdict otherwise;
};

/*
 * GRUB writes a prefix into the log and measures what follows; 2.06 without the NUL, Red Hat's
 * 2.02, which has no colon, with it.
 */
static const struct {
        const char *prefix;
        bool is_cmdline;
} grub_prefixes[] = {
    {"grub_cmd: ", false}, {"kernel_cmdline: ", true},     {"module_cmdline: ", false},
    {"grub_cmd ", false},  {"grub_kernel_cmdline ", true}, {"grub_module_cmdline ", false},
};

static void add(struct candidates *c, struct bytes data, enum event_verdict verdict)
{
        if (c->count < CANDIDATES_MAX) {
                c->list[c->count].data = data;
                c->list[c->count].verdict = verdict;
                c->count++;
        }
}

static struct bytes without_tail(struct bytes data, size_t n)
{
        return (struct bytes){data.data, data.len - n};
}

static bool ends_in_zeros(struct bytes data, size_t n)
{
        if (data.len < n)
                return false;
        for (size_t i = 0; i < n; i++)
                if (data.data[data.len - 1 - i] != 0)
                        return false;
        return true;
}

/* Strings are logged with a NUL that is sometimes measured and sometimes not. */
static void add_string(struct candidates *c, struct bytes data)
{
        add(c, data, EVENT_VERIFIED);
        if (ends_in_zeros(data, 1))
                add(c, without_tail(data, 1), EVENT_VERIFIED);
        if (ends_in_zeros(data, 2))
                add(c, without_tail(data, 2), EVENT_VERIFIED);
}

/*
 * Bytes after the structure mean nothing, so it does not matter whether they were measured; old
 * versions of shim log a few of them and measure all but the last.
 */
static void add_variable(struct candidates *c, struct bytes data, bool value_counts)
{
        struct uefi_variable variable;

        add(c, data, EVENT_VERIFIED);
        if (uefi_variable_parse(data, &variable) != 0)
                return;
        if (variable.whole.len < data.len) {
                add(c, variable.whole, EVENT_VERIFIED);
                add(c, without_tail(data, 1), EVENT_VERIFIED);
        }
        if (value_counts)
                add(c, variable.value, EVENT_VALUE);
}

struct bytes event_grub_string(struct bytes data, bool *ret_is_cmdline)
{
        for (size_t i = 0; i < ARRAY_SIZE(grub_prefixes); i++) {
                size_t len = strlen(grub_prefixes[i].prefix);

                if (data.len <= len || memcmp(data.data, grub_prefixes[i].prefix, len) != 0)
                        continue;
                *ret_is_cmdline = grub_prefixes[i].is_cmdline;
                data = (struct bytes){data.data + len, data.len - len};
                return ends_in_zeros(data, 1) ? without_tail(data, 1) : data;
        }
        return (struct bytes){NULL, 0};
}

static void add_ipl(struct candidates *c, struct bytes data)
{
        bool is_cmdline;
        struct bytes string = event_grub_string(data, &is_cmdline);
        struct bytes rest;

        if (string.data == NULL) {
                add_string(c, data);
                return;
        }
        rest = (struct bytes){string.data, data.len - (size_t)(string.data - data.data)};
        add_string(c, rest);
        c->otherwise = EVENT_MISMATCH;
}

/* TCG_PCClientTaggedEvent: id, length, data. Firmware measures all of it or its data. */
static void add_tag(struct candidates *c, struct bytes data)
{
        add(c, data, EVENT_VERIFIED);
        if (data.len > TAG_HEADER_SIZE)
                add(c, (struct bytes){data.data + TAG_HEADER_SIZE, data.len - TAG_HEADER_SIZE},
                    EVENT_VALUE);
}

static struct candidates candidates_of(const struct tcglog_event *event)
{
        const struct event_type *type = event_type_find(event->type);
        struct candidates c = {.otherwise = EVENT_UNVERIFIABLE};

        switch (type == NULL ? EVENT_RULE_MAYBE : type->rule) {
        case EVENT_RULE_DATA:
                add_string(&c, event->data);
                c.otherwise = EVENT_MISMATCH;
                break;
        case EVENT_RULE_SEPARATOR:
                add(&c, event->data, EVENT_VERIFIED);
                c.otherwise = EVENT_MISMATCH;
                break;
        case EVENT_RULE_MAYBE:
                add_string(&c, event->data);
                break;
        case EVENT_RULE_VARIABLE:
                add_variable(&c, event->data, false);
                c.otherwise = EVENT_MISMATCH;
                break;
        case EVENT_RULE_BOOT:
                add_variable(&c, event->data, true);
                c.otherwise = EVENT_MISMATCH;
                break;
        case EVENT_RULE_IPL:
                add_ipl(&c, event->data);
                break;
        case EVENT_RULE_TAG:
                add_tag(&c, event->data);
                break;
        case EVENT_RULE_OTHER:
        case EVENT_RULE_NONE:
                break;
        }
        return c;
}

/* Whether every bank's digest is the hash of this candidate; a bank left out does not count. */
static int matches(const struct tcglog *log, const struct tcglog_event *event, struct bytes data,
                   bool *ret_matches, struct err *err)
{
        size_t compared = 0;

        *ret_matches = false;
        for (size_t i = 0; i < log->bank_count; i++) {
                const struct hash_alg *alg = log->banks[i].alg;
                uint8_t digest[HASH_SIZE_MAX];
                int rc;

                if (alg == NULL || event->digests[i] == NULL)
                        continue;
                rc = hash_digest(alg, data.data, data.len, digest, err);
                if (rc != 0)
                        return rc;
                if (memcmp(digest, event->digests[i], alg->size) != 0)
                        return 0;
                compared++;
        }
        *ret_matches = compared > 0;
        return 0;
}

int event_verify(const struct tcglog *log, const struct tcglog_event *event,
                 enum event_verdict *ret_verdict, struct err *err)
{
        struct candidates c = candidates_of(event);

        for (size_t i = 0; i < c.count; i++) {
                bool found;
                int rc = matches(log, event, c.list[i].data, &found, err);

                if (rc != 0)
                        return rc;
                if (found) {
                        *ret_verdict = c.list[i].verdict;
                        return 0;
                }
        }
        *ret_verdict = c.otherwise;
        return 0;
}
