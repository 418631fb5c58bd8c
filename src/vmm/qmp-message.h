/*
 * One line of QMP from QEMU (docs/interop/qmp-spec of QEMU 7.2), reduced to what we use. QEMU's
 * words are hostile input: bounded, strict JSON, and nothing of them is kept but short texts.
 */
#ifndef VMM_QMP_MESSAGE_H
#define VMM_QMP_MESSAGE_H

#include <stdint.h>

#include "base/err.h"
#include "base/reader.h"

#define QMP_LINE_MAX 65536 /* bytes; QEMU's longest answers to our commands are far below */
#define QMP_TEXT_MAX 128

enum qmp_kind { QMP_GREETING, QMP_REPLY, QMP_ERROR, QMP_EVENT };

/* Events that we act on; all others are QMP_EVENT_OTHER. */
enum qmp_event {
        QMP_EVENT_OTHER,
        QMP_EVENT_STOP,
        QMP_EVENT_RESUME,
        QMP_EVENT_SHUTDOWN,
        QMP_EVENT_RESET,
        QMP_EVENT_GUEST_PANICKED,
        QMP_EVENT_COUNT,
};

struct qmp_message {
        enum qmp_kind kind;
        uint64_t id;             /* of a reply or an error; 0 if it has none */
        enum qmp_event event;    /* of an event */
        char text[QMP_TEXT_MAX]; /* reply: its "status" or ""; error: class and description; event:
                                    its "reason" or name; printable ASCII, cut if it is long */
};

/* Parses one line without its end. Errors: ERR_MALFORMED, ERR_LIMIT. */
int qmp_message_parse(struct bytes line, struct qmp_message *ret_message,
                      struct err *err) MUST_CHECK;

#endif
