/*
 * A small QMP client: greeting, capabilities, commands without arguments, events. It runs in an
 * event loop (qmp_fd(), qmp_events(), qmp_process()) and, for tests and short tools, blocking
 * (qmp_call()). What QEMU sends is hostile: any error is final and the connection must be closed.
 */
#ifndef VMM_QMP_H
#define VMM_QMP_H

#include <stdbool.h>

#include "base/err.h"
#include "base/macro.h"
#include "vmm/qmp-message.h"

#define QMP_PENDING_MAX 16 /* commands without an answer */

enum qmp_command {
        QMP_QUERY_STATUS, /* reply.text: "running", "paused", "internal-error", ... */
        QMP_STOP,
        QMP_CONT,
        QMP_POWERDOWN, /* asks the guest */
        QMP_RESET,
        QMP_QUIT, /* ends QEMU at once */
        QMP_COMMAND_COUNT,
};

struct qmp_handlers {
        /* QEMU accepts commands. May be NULL, as the others. */
        void (*ready)(void *context);
        /* ok false: QEMU refused, and text says why. */
        void (*reply)(void *context, enum qmp_command command, bool ok, const char *text);
        void (*event)(void *context, enum qmp_event event, const char *text);
};

struct qmp;

/* Takes fd, also on failure, and makes it non-blocking. The handlers must not free the client. */
int qmp_new(int fd, const struct qmp_handlers *handlers, void *context, struct qmp **ret_qmp,
            struct err *err) MUST_CHECK;
/*
 * QEMU spoke with another process on this channel: what it still says to that one is dropped, but
 * for events, and half a line, too. Right after qmp_new().
 */
void qmp_resume(struct qmp *qmp);

void qmp_free(struct qmp *qmp);
DEFINE_CLEANUP(struct qmp *, qmp_free)
#define AUTO_QMP CLEANUP(qmp_free_p)

/* The descriptor to poll; the client keeps it. */
int qmp_fd(const struct qmp *qmp);

/* POLLIN, and POLLOUT while something waits to be written. EPOLLIN and EPOLLOUT are the same. */
short qmp_events(const struct qmp *qmp);

/* Whether the greeting and the capabilities are through. */
bool qmp_is_ready(const struct qmp *qmp);

/*
 * Queues a command; before QEMU is ready it waits. Errors: ERR_LIMIT (QMP_PENDING_MAX).
 */
int qmp_execute(struct qmp *qmp, enum qmp_command command, struct err *err) MUST_CHECK;

/*
 * Writes what waits, reads what is there and calls the handlers. Errors, all final:
 * ERR_UNREACHABLE (QEMU has closed its end), ERR_MALFORMED, ERR_LIMIT, ERR_IO.
 */
int qmp_process(struct qmp *qmp, struct err *err) MUST_CHECK;

/*
 * Executes and waits for the answer; handlers are called for what comes before it. *ret_text has
 * room for QMP_TEXT_MAX bytes. Errors: those of qmp_process(), ERR_FAILED (QEMU refused),
 * ERR_TIMEOUT. QEMU often ends before its answer to QMP_QUIT is out: that it is gone is 0 then, and
 * the text is empty.
 */
int qmp_call(struct qmp *qmp, enum qmp_command command, int timeout_ms, char *ret_text,
             struct err *err) MUST_CHECK;

#endif
