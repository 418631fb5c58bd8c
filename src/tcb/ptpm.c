#include "tcb/ptpm.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/spawn.h"

#define LINK_FD      3
#define QUESTION_MAX (16U << 10) /* bytes of an encoded question */

/* What may wait for a TPM that takes 700 ms a quote; whoever comes later is told so. */
#define PENDING_MAX 128

/* A question that waits for its turn, encoded already: its fields may be gone by then. */
struct pending {
        struct pending *next;
        const struct wire_message *message;
        uint8_t *payload;
        size_t len;
        struct ptpm_question asked;
};

struct ptpm {
        struct spawn_child child;
        struct wire_link *link;
        sd_event_source *source;
        void (*lost)(void *user, const struct err *err);
        void *lost_user;
        struct pending *first; /* the one that the arbiter works at, if asked */
        size_t n_pending;
        bool asked;
        bool dead; /* nothing is asked any more */
        int timeout_msec;
        uint32_t id;
        char kind[33];
        char manufacturer[17];
        char vendor[33];
        char firmware[33];
        char degraded[600];
        uint8_t ek_pub[1024];
        size_t ek_pub_len;
};

static int start_arbiter(struct ptpm *ptpm, const struct tcb_config *config, struct err *err)
{
        static const char *const argv[] = {"catena-arbiter", NULL};
        char path[PATH_MAX];
        int pair[2];
        int rc;

        if (tcb_config_program(config, "catena-arbiter", path, err) != 0 ||
            fd_socketpair(SOCK_SEQPACKET, pair, err) != 0)
                return err->code;
        const struct spawn_fd fds[] = {{2, 2}, {pair[1], LINK_FD}};
        const struct spawn_request request = {
            .path = path, .argv = argv, .fds = fds, .n_fds = ARRAY_SIZE(fds)};

        rc = spawn_start(&request, &ptpm->child, err);
        fd_close(&pair[1]);
        if (rc != 0) {
                fd_close(&pair[0]);
                return err_wrap(err, "start the arbiter");
        }
        return wire_link_new(pair[0], &wire_ptpm_protocol, WIRE_CLIENT, &ptpm->link, err);
}

static int open_tpm(struct ptpm *ptpm, const struct tcb_config *config, bool fresh, struct err *err)
{
        char engine[PATH_MAX];
        struct ptpm_opened opened = {0};
        const struct ptpm_answer answer = {ptpm_opened_code, &opened, sizeof(opened)};
        struct ptpm_open open;

        if (tcb_config_program(config, "catena-vtpm", engine, err) != 0)
                return err->code;
        open = (struct ptpm_open){.tcti = wire_text(config->tcti),
                                  .state = wire_text(config->state),
                                  .engine = wire_text(engine),
                                  .uid = (uint32_t)config->uid_base,
                                  .fresh = fresh};
        if (ptpm_call(ptpm, ptpm_open_code, &open, &answer, err) != 0)
                return err_wrap(err, "open the host's TPM (%s)", config->tcti);
        wire_text_copy(opened.kind, ptpm->kind, sizeof(ptpm->kind));
        wire_text_copy(opened.manufacturer, ptpm->manufacturer, sizeof(ptpm->manufacturer));
        wire_text_copy(opened.vendor, ptpm->vendor, sizeof(ptpm->vendor));
        wire_text_copy(opened.firmware, ptpm->firmware, sizeof(ptpm->firmware));
        wire_text_copy(opened.degraded, ptpm->degraded, sizeof(ptpm->degraded));
        ptpm->ek_pub_len = opened.ek_pub.len;
        if (opened.ek_pub.len > 0)
                memcpy(ptpm->ek_pub, opened.ek_pub.data, opened.ek_pub.len);
        return 0;
}

int ptpm_new(const struct tcb_config *config, bool fresh, struct ptpm **ret_ptpm, struct err *err)
{
        struct ptpm *ptpm = calloc(1, sizeof(*ptpm));
        int rc;

        if (ptpm == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        ptpm->timeout_msec = config->ptpm_timeout == 0 ? -1 : (int)config->ptpm_timeout * 1000;
        rc = start_arbiter(ptpm, config, err);
        if (rc == 0)
                rc = open_tpm(ptpm, config, fresh, err);
        if (rc != 0) {
                ptpm_free(ptpm);
                return rc;
        }
        *ret_ptpm = ptpm;
        return 0;
}

static void pending_free(struct pending *pending)
{
        if (pending->payload != NULL)
                explicit_bzero(pending->payload, pending->len);
        free(pending->payload);
        free(pending);
}

static struct pending *take_first(struct ptpm *ptpm)
{
        struct pending *pending = ptpm->first;

        ptpm->first = pending->next;
        ptpm->n_pending--;
        ptpm->asked = false;
        return pending;
}

static void answer_all(struct ptpm *ptpm, const struct err *err)
{
        ptpm->dead = true;
        while (ptpm->first != NULL) {
                struct pending *pending = take_first(ptpm);

                pending->asked.reply(pending->asked.user, NULL, err);
                pending_free(pending);
        }
}

void ptpm_free(struct ptpm *ptpm)
{
        struct err err = {0};
        int status;

        if (ptpm == NULL)
                return;
        sd_event_source_disable_unref(ptpm->source);
        (void)err_set(&err, ERR_UNREACHABLE, "the trusted core ends");
        answer_all(ptpm, &err);
        /* The closed link tells it to shut the TPM down in order; it gets some time for that. */
        wire_link_free(ptpm->link);
        if (ptpm->child.pid > 0 && spawn_wait(&ptpm->child, 5000, &status, &err) != 0)
                spawn_kill(&ptpm->child);
        free(ptpm);
}

const char *ptpm_kind(const struct ptpm *ptpm)
{
        return ptpm->kind;
}

const char *ptpm_manufacturer(const struct ptpm *ptpm)
{
        return ptpm->manufacturer;
}

const char *ptpm_vendor(const struct ptpm *ptpm)
{
        return ptpm->vendor;
}

const char *ptpm_firmware(const struct ptpm *ptpm)
{
        return ptpm->firmware;
}

const char *ptpm_degraded(const struct ptpm *ptpm)
{
        return ptpm->degraded;
}

struct bytes ptpm_ek_public(const struct ptpm *ptpm)
{
        return (struct bytes){ptpm->ek_pub, ptpm->ek_pub_len};
}

static int error_of(const struct wire_frame *frame, struct err *err)
{
        struct ptpm_error failure;
        int rc;
        char text[401];

        rc = wire_frame_decode(frame, &failure, sizeof(failure), err);
        if (rc != 0)
                return rc;
        wire_text_copy(failure.text, text, sizeof(text));
        (void)err_set(err, err_from_wire(failure.code), "%s", text);
        return err->code == 0 ? err_set(err, ERR_FAILED, "%s", text) : err->code;
}

/* The arbiter waits for its TPM without an end; whoever waits for the arbiter does not. */
static int wait_answer(const struct ptpm *ptpm, const char *what, struct err *err)
{
        struct pollfd fd = {.fd = wire_link_fd(ptpm->link), .events = POLLIN};
        int rc;

        do {
                rc = poll(&fd, 1, ptpm->timeout_msec);
        } while (rc < 0 && errno == EINTR);
        if (rc < 0)
                return err_set_errno(err, errno, "wait for the arbiter");
        if (rc > 0)
                return 0;
        (void)err_set(err, ERR_TIMEOUT, "the host's TPM did not answer %s within %d s", what,
                      ptpm->timeout_msec / 1000);
        return err_hint(err, "see that the TPM works (catena host doctor), or raise timeout in "
                             "section ptpm of the configuration");
}

int ptpm_call(struct ptpm *ptpm, uint16_t code, const void *message,
              const struct ptpm_answer *ret_answer, struct err *err)
{
        struct wire_frame frame;

        if (wire_link_send(ptpm->link, code, ++ptpm->id, 0, message, NULL, err) != 0)
                return err_wrap(err, "arbiter");
        if (wait_answer(ptpm, wire_message_find(&wire_ptpm_protocol, code)->name, err) != 0)
                return err->code;
        if (wire_link_receive(ptpm->link, &frame, err) != 0)
                return err_wrap(err, "arbiter");
        if (frame.message->code == ptpm_error_code)
                return error_of(&frame, err);
        if (frame.message->code != ret_answer->code || frame.id != ptpm->id)
                return err_set(err, ERR_MALFORMED, "arbiter: unexpected %s", frame.message->name);
        return wire_frame_decode(&frame, ret_answer->message, ret_answer->size, err);
}

/* Asynchronous -------------------------------------------------------------------------------- */

static void lose(struct ptpm *ptpm, const struct err *err)
{
        (void)sd_event_source_set_enabled(ptpm->source, SD_EVENT_OFF);
        answer_all(ptpm, err);
        ptpm->lost(ptpm->lost_user, err);
}

static int ask_next(struct ptpm *ptpm, struct err *err)
{
        struct wire_frame frame = {.flags = 0};

        if (ptpm->first == NULL || ptpm->asked)
                return 0;
        frame.id = ++ptpm->id;
        frame.message = ptpm->first->message;
        frame.payload = (struct bytes){ptpm->first->payload, ptpm->first->len};
        ptpm->asked = true;
        return wire_link_forward(ptpm->link, &frame, err);
}

/* The frame answers the first question; then the next one is asked. */
static int take_answer(struct ptpm *ptpm, const struct wire_frame *frame, struct err *err)
{
        struct pending *pending;
        struct err failure = {0};

        if (ptpm->first == NULL || !ptpm->asked || frame->id != ptpm->id)
                return err_set(err, ERR_MALFORMED, "arbiter: answers what nobody asked");
        pending = take_first(ptpm);
        if (frame->message->code == ptpm_error_code) {
                (void)error_of(frame, &failure);
                pending->asked.reply(pending->asked.user, NULL, &failure);
        } else if (frame->message->code != pending->asked.expected) {
                (void)err_set(&failure, ERR_MALFORMED, "arbiter: answers with %s",
                              frame->message->name);
                pending->asked.reply(pending->asked.user, NULL, &failure);
        } else {
                pending->asked.reply(pending->asked.user, frame, NULL);
        }
        pending_free(pending);
        return ask_next(ptpm, err);
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *user)
{
        struct ptpm *ptpm = user;
        struct wire_frame frame;
        struct err err = {0};
        int rc;

        (void)source;
        (void)fd;
        (void)revents;
        rc = wire_link_receive(ptpm->link, &frame, &err);
        if (rc == WIRE_AGAIN)
                return 0;
        if (rc == 0)
                rc = take_answer(ptpm, &frame, &err);
        if (rc != 0)
                lose(ptpm, &err);
        return 0;
}

int ptpm_attach(struct ptpm *ptpm, sd_event *event, void (*lost)(void *user, const struct err *err),
                void *user, struct err *err)
{
        int rc;

        if (fd_set_nonblocking(wire_link_fd(ptpm->link), err) != 0)
                return err->code;
        ptpm->lost = lost;
        ptpm->lost_user = user;
        rc = sd_event_add_io(event, &ptpm->source, wire_link_fd(ptpm->link), EPOLLIN, on_readable,
                             ptpm);
        return rc < 0 ? err_set_errno(err, -rc, "watch the arbiter") : 0;
}

int ptpm_ask(struct ptpm *ptpm, const struct ptpm_question *question, struct err *err)
{
        struct pending **end = &ptpm->first;
        struct pending *pending;
        struct writer AUTO_WRITER w = {0};

        if (ptpm->dead)
                return err_set(err, ERR_UNREACHABLE, "the host's TPM is gone");
        if (ptpm->n_pending == PENDING_MAX)
                return err_set(err, ERR_LIMIT, "too many requests wait for the host's TPM");
        writer_init(&w, QUESTION_MAX);
        pending = calloc(1, sizeof(*pending));
        if (pending == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        pending->message = wire_message_find(&wire_ptpm_protocol, question->code);
        pending->asked = *question;
        if (wire_encode(pending->message, question->message, &w, err) != 0) {
                free(pending);
                return err->code;
        }
        pending->payload = writer_take(&w, &pending->len);
        while (*end != NULL)
                end = &(*end)->next;
        *end = pending;
        ptpm->n_pending++;
        if (ask_next(ptpm, err) == 0)
                return 0;
        /* Only the first question is ever sent, so the one that failed to go out is ours. */
        pending_free(take_first(ptpm));
        return err->code;
}
