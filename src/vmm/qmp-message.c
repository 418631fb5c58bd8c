#include "vmm/qmp-message.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/macro.h"

static const char *const event_names[QMP_EVENT_COUNT] = {
    [QMP_EVENT_OTHER] = "",        [QMP_EVENT_STOP] = "STOP",
    [QMP_EVENT_RESUME] = "RESUME", [QMP_EVENT_SHUTDOWN] = "SHUTDOWN",
    [QMP_EVENT_RESET] = "RESET",   [QMP_EVENT_GUEST_PANICKED] = "GUEST_PANICKED",
};

/* QEMU's words end up in logs and on terminals. */
static void put_text(struct qmp_message *m, const char *a, const char *b)
{
        (void)snprintf(m->text, sizeof(m->text), "%s%s%s", a, b[0] != '\0' ? ": " : "", b);
        for (char *p = m->text; *p != '\0'; p++)
                if (*p < ' ' || *p > '~')
                        *p = '?';
}

static const char *text_of(const json_t *object, const char *key)
{
        const char *text = json_string_value(json_object_get(object, key));

        return text == NULL ? "" : text;
}

static int parse_event(const json_t *root, struct qmp_message *m)
{
        const char *name = text_of(root, "event");

        m->kind = QMP_EVENT;
        if (name[0] == '\0')
                return ERR_MALFORMED;
        for (size_t i = 1; i < ARRAY_SIZE(event_names); i++)
                if (strcmp(name, event_names[i]) == 0)
                        m->event = (enum qmp_event)i;
        put_text(m, name, text_of(json_object_get(root, "data"), "reason"));
        return 0;
}

static int parse_id(const json_t *root, struct qmp_message *m)
{
        const json_t *id = json_object_get(root, "id");

        /* We only ever send positive integers. An error about bad JSON has no id. */
        if (id == NULL)
                return 0;
        if (!json_is_integer(id) || json_integer_value(id) <= 0)
                return ERR_MALFORMED;
        m->id = (uint64_t)json_integer_value(id);
        return 0;
}

static int parse_root(const json_t *root, struct qmp_message *m)
{
        const json_t *part;

        if (!json_is_object(root))
                return ERR_MALFORMED;
        if ((part = json_object_get(root, "QMP")) != NULL) {
                m->kind = QMP_GREETING;
                return json_is_object(part) ? 0 : ERR_MALFORMED;
        }
        if (json_object_get(root, "event") != NULL)
                return parse_event(root, m);
        if ((part = json_object_get(root, "error")) != NULL) {
                m->kind = QMP_ERROR;
                put_text(m, text_of(part, "class"), text_of(part, "desc"));
                return json_is_object(part) ? parse_id(root, m) : ERR_MALFORMED;
        }
        part = json_object_get(root, "return");
        m->kind = QMP_REPLY;
        if (part == NULL)
                return ERR_MALFORMED;
        put_text(m, text_of(part, "status"), "");
        return parse_id(root, m);
}

int qmp_message_parse(struct bytes line, struct qmp_message *ret_message, struct err *err)
{
        struct qmp_message message = {.kind = QMP_EVENT};
        json_error_t where;
        json_t *root;
        int rc;

        if (line.len > QMP_LINE_MAX)
                return err_set(err, ERR_LIMIT, "QMP: line of %zu bytes", line.len);
        root = json_loadb((const char *)line.data, line.len, JSON_REJECT_DUPLICATES, &where);
        if (root == NULL)
                return err_set(err, ERR_MALFORMED, "QMP: not JSON at byte %d", where.position);
        rc = parse_root(root, &message);
        json_decref(root);
        if (rc != 0)
                return err_set(err, rc, "QMP: unexpected message");
        *ret_message = message;
        return 0;
}
