#include "vmm/qmp.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"

#define RESUME_ID UINT64_C(1000000000)
#define OUT_MAX   2048 /* QMP_PENDING_MAX commands and the capabilities */
#define READ_MAX  16   /* reads in one qmp_process(), so that QEMU cannot hold up the loop */

static const char *const command_names[QMP_COMMAND_COUNT] = {
    [QMP_QUERY_STATUS] = "query-status",  [QMP_STOP] = "stop",          [QMP_CONT] = "cont",
    [QMP_POWERDOWN] = "system_powerdown", [QMP_RESET] = "system_reset", [QMP_QUIT] = "quit",
};

struct pending {
        uint64_t id;
        enum qmp_command command;
};

enum phase { PHASE_GREETING, PHASE_CAPABILITIES, PHASE_RESUMING, PHASE_READY };

struct qmp {
        int fd;
        enum phase phase;
        struct qmp_handlers handlers;
        void *context;
        uint64_t last_id;   /* 1 is that of the capabilities */
        uint64_t resume_id; /* of the capabilities once more, see qmp_resume() */
        struct pending pending[QMP_PENDING_MAX];
        size_t n_pending;
        size_t n_unsent; /* of pending, at its end: not yet in out */
        char out[OUT_MAX];
        size_t out_len;
        uint8_t in[QMP_LINE_MAX + 1];
        size_t in_len;
        /* What qmp_call() waits for. */
        uint64_t awaited;
        struct qmp_message answer;
};

int qmp_new(int fd, const struct qmp_handlers *handlers, void *context, struct qmp **ret_qmp,
            struct err *err)
{
        struct qmp *qmp;
        int AUTO_FD owned = fd;

        if (fd_set_nonblocking(fd, err) != 0)
                return err_wrap(err, "QMP");
        qmp = calloc(1, sizeof(*qmp));
        if (qmp == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        qmp->fd = TAKE_FD(owned);
        qmp->handlers = *handlers;
        qmp->context = context;
        qmp->last_id = 1;
        *ret_qmp = qmp;
        return 0;
}

static int64_t now_ms(void)
{
        struct timespec t = {0};

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int put_command(struct qmp *qmp, const char *name, uint64_t id, struct err *err)
{
        size_t room = sizeof(qmp->out) - qmp->out_len;
        int n = snprintf(qmp->out + qmp->out_len, room, "{\"execute\":\"%s\",\"id\":%llu}\n", name,
                         (unsigned long long)id);

        if (n < 0 || (size_t)n >= room)
                return err_set(err, ERR_LIMIT, "QMP: QEMU does not read");
        qmp->out_len += (size_t)n;
        return 0;
}

/*
 * Capabilities are asked for once more: accepted or refused, the answer shows where the other's
 * words end, and commands are taken from there on. A number that the other one had not come to.
 */
void qmp_resume(struct qmp *qmp)
{
        struct err ignored = {0};

        qmp->resume_id = qmp->last_id = RESUME_ID + (uint64_t)now_ms();
        qmp->phase = PHASE_RESUMING;
        /* Whatever line was begun is ended; there is room. */
        qmp->out[qmp->out_len++] = '\n';
        (void)!put_command(qmp, "qmp_capabilities", qmp->resume_id, &ignored);
}

void qmp_free(struct qmp *qmp)
{
        if (qmp == NULL)
                return;
        fd_close(&qmp->fd);
        free(qmp);
}

int qmp_fd(const struct qmp *qmp)
{
        return qmp->fd;
}

short qmp_events(const struct qmp *qmp)
{
        bool wants_out = qmp->out_len > 0 || (qmp->phase == PHASE_READY && qmp->n_unsent > 0);

        return (short)(POLLIN | (wants_out ? POLLOUT : 0));
}

bool qmp_is_ready(const struct qmp *qmp)
{
        return qmp->phase == PHASE_READY;
}

/* --- out ------------------------------------------------------------------------------------- */

static int flush(struct qmp *qmp, struct err *err)
{
        while (qmp->phase == PHASE_READY && qmp->n_unsent > 0) {
                struct pending *p = &qmp->pending[qmp->n_pending - qmp->n_unsent];

                if (put_command(qmp, command_names[p->command], p->id, err) != 0)
                        return err->code;
                qmp->n_unsent--;
        }
        while (qmp->out_len > 0) {
                ssize_t k = send(qmp->fd, qmp->out, qmp->out_len, MSG_NOSIGNAL);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0 && errno == EAGAIN)
                        return 0;
                if (k < 0)
                        return err_set(err, ERR_UNREACHABLE, "QMP: QEMU is gone");
                memmove(qmp->out, qmp->out + k, qmp->out_len - (size_t)k);
                qmp->out_len -= (size_t)k;
        }
        return 0;
}

int qmp_execute(struct qmp *qmp, enum qmp_command command, struct err *err)
{
        if (command < 0 || command >= QMP_COMMAND_COUNT)
                return err_set(err, ERR_USAGE, "QMP: unknown command");
        if (qmp->n_pending == QMP_PENDING_MAX)
                return err_set(err, ERR_LIMIT, "QMP: QEMU does not answer");
        qmp->pending[qmp->n_pending++] = (struct pending){++qmp->last_id, command};
        qmp->n_unsent++;
        return 0;
}

/* --- in -------------------------------------------------------------------------------------- */

static int accept_greeting(struct qmp *qmp, struct err *err)
{
        if (qmp->phase != PHASE_GREETING)
                return err_set(err, ERR_MALFORMED, "QMP: second greeting");
        qmp->phase = PHASE_CAPABILITIES;
        return put_command(qmp, "qmp_capabilities", 1, err);
}

static int accept_capabilities(struct qmp *qmp, const struct qmp_message *m, struct err *err)
{
        if (m->kind != QMP_REPLY || m->id != 1)
                return err_set(err, ERR_MALFORMED, "QMP: capabilities refused: %s", m->text);
        qmp->phase = PHASE_READY;
        if (qmp->handlers.ready != NULL)
                qmp->handlers.ready(qmp->context);
        return 0;
}

static int accept_answer(struct qmp *qmp, const struct qmp_message *m, struct err *err)
{
        size_t sent = qmp->n_pending - qmp->n_unsent;
        size_t i = 0;
        struct pending p;

        if (qmp->phase == PHASE_CAPABILITIES)
                return accept_capabilities(qmp, m, err);
        while (i < sent && qmp->pending[i].id != m->id)
                i++;
        if (qmp->phase != PHASE_READY || i == sent)
                return err_set(err, ERR_MALFORMED, "QMP: answer to nothing we asked: %s", m->text);
        p = qmp->pending[i];
        qmp->n_pending--;
        memmove(&qmp->pending[i], &qmp->pending[i + 1], (qmp->n_pending - i) * sizeof(p));
        if (p.id == qmp->awaited) {
                qmp->answer = *m;
                qmp->awaited = 0;
        } else if (qmp->handlers.reply != NULL) {
                qmp->handlers.reply(qmp->context, p.command, m->kind == QMP_REPLY, m->text);
        }
        return 0;
}

/* What is for the one before us is not looked at. */
static void accept_resumed(struct qmp *qmp, const struct qmp_message *m)
{
        if ((m->kind != QMP_REPLY && m->kind != QMP_ERROR) || m->id != qmp->resume_id)
                return;
        qmp->phase = PHASE_READY;
        if (qmp->handlers.ready != NULL)
                qmp->handlers.ready(qmp->context);
}

static int accept_line(struct qmp *qmp, struct bytes line, struct err *err)
{
        struct qmp_message m;
        int rc = qmp_message_parse(line, &m, err);

        if (rc != 0 && qmp->phase == PHASE_RESUMING) {
                *err = (struct err){0};
                return 0;
        }
        if (rc != 0)
                return rc;
        if (qmp->phase == PHASE_RESUMING && m.kind != QMP_EVENT) {
                accept_resumed(qmp, &m);
                return 0;
        }
        if (m.kind == QMP_GREETING)
                return accept_greeting(qmp, err);
        if (m.kind != QMP_EVENT)
                return accept_answer(qmp, &m, err);
        if (qmp->handlers.event != NULL)
                qmp->handlers.event(qmp->context, m.event, m.text);
        return 0;
}

/* Takes the whole lines out of the buffer. */
static int accept_lines(struct qmp *qmp, struct err *err)
{
        size_t at = 0;
        int rc = 0;

        while (rc == 0) {
                const uint8_t *line = qmp->in + at;
                const uint8_t *end = memchr(line, '\n', qmp->in_len - at);
                size_t len;

                if (end == NULL)
                        break;
                len = (size_t)(end - line);
                at += len + 1;
                if (len > 0 && line[len - 1] == '\r')
                        len--;
                if (len > 0)
                        rc = accept_line(qmp, (struct bytes){line, len}, err);
        }
        qmp->in_len -= at;
        memmove(qmp->in, qmp->in + at, qmp->in_len);
        if (rc == 0 && qmp->in_len == sizeof(qmp->in))
                return err_set(err, ERR_LIMIT, "QMP: line of more than %d bytes", QMP_LINE_MAX);
        return rc;
}

int qmp_process(struct qmp *qmp, struct err *err)
{
        int rc = flush(qmp, err);

        for (int i = 0; i < READ_MAX && rc == 0; i++) {
                ssize_t k = read(qmp->fd, qmp->in + qmp->in_len, sizeof(qmp->in) - qmp->in_len);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0 && errno == EAGAIN)
                        break;
                if (k <= 0)
                        return err_set(err, ERR_UNREACHABLE, "QMP: QEMU is gone");
                qmp->in_len += (size_t)k;
                rc = accept_lines(qmp, err);
        }
        return rc != 0 ? rc : flush(qmp, err);
}

/* --- blocking ----------------------------------------------------------------------------------
 */

static int await(struct qmp *qmp, int64_t deadline, struct err *err)
{
        while (qmp->awaited != 0) {
                struct pollfd p = {.fd = qmp->fd, .events = qmp_events(qmp)};
                int64_t left = deadline - now_ms();

                if (left <= 0)
                        return err_set(err, ERR_TIMEOUT, "QMP: no answer");
                if (poll(&p, 1, (int)left) < 0 && errno != EINTR)
                        return err_set_errno(err, errno, "poll");
                if (qmp_process(qmp, err) != 0)
                        return err->code;
        }
        return 0;
}

int qmp_call(struct qmp *qmp, enum qmp_command command, int timeout_ms, char *ret_text,
             struct err *err)
{
        int rc = qmp_execute(qmp, command, err);

        if (rc != 0)
                return rc;
        qmp->awaited = qmp->last_id;
        rc = await(qmp, now_ms() + timeout_ms, err);
        qmp->awaited = 0;
        if (rc == ERR_UNREACHABLE && command == QMP_QUIT) {
                *err = (struct err){0};
                ret_text[0] = '\0';
                return 0;
        }
        if (rc != 0)
                return rc;
        if (qmp->answer.kind != QMP_REPLY)
                return err_set(err, ERR_FAILED, "QMP: %s", qmp->answer.text);
        (void)snprintf(ret_text, QMP_TEXT_MAX, "%s", qmp->answer.text);
        return 0;
}
