#include "tcb/ptpm.h"

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

/* A question that waits for its turn, encoded already: its fields may be gone by then. */
struct question {
        struct question *next;
        const struct wire_message *message;
        uint8_t *payload;
        size_t len;
        ptpm_reply_fn *reply;
        void *user;
};

struct ptpm {
        struct spawn_child child;
        struct wire_link *link;
        sd_event_source *source;
        void (*lost)(void *user, const struct err *err);
        void *lost_user;
        struct question *first; /* the one that the arbiter works at, if asked */
        bool asked;
        uint32_t id;
        char kind[33];
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

static int open_tpm(struct ptpm *ptpm, const struct tcb_config *config, struct err *err)
{
        char engine[PATH_MAX];
        struct ptpm_opened opened;
        const struct ptpm_answer answer = {ptpm_opened_code, &opened, sizeof(opened)};
        struct ptpm_open open;

        if (tcb_config_program(config, "catena-vtpm", engine, err) != 0)
                return err->code;
        open = (struct ptpm_open){.tcti = wire_text(config->tcti),
                                  .state = wire_text(config->state),
                                  .engine = wire_text(engine),
                                  .uid = (uint32_t)config->uid_base};
        if (ptpm_call(ptpm, ptpm_open_code, &open, &answer, err) != 0)
                return err_wrap(err, "open the host's TPM (%s)", config->tcti);
        wire_text_copy(opened.kind, ptpm->kind, sizeof(ptpm->kind));
        wire_text_copy(opened.degraded, ptpm->degraded, sizeof(ptpm->degraded));
        ptpm->ek_pub_len = opened.ek_pub.len;
        memcpy(ptpm->ek_pub, opened.ek_pub.data, opened.ek_pub.len);
        return 0;
}

int ptpm_new(const struct tcb_config *config, struct ptpm **ret_ptpm, struct err *err)
{
        struct ptpm *ptpm = calloc(1, sizeof(*ptpm));
        int rc;

        if (ptpm == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        rc = start_arbiter(ptpm, config, err);
        if (rc == 0)
                rc = open_tpm(ptpm, config, err);
        if (rc != 0) {
                ptpm_free(ptpm);
                return rc;
        }
        *ret_ptpm = ptpm;
        return 0;
}

static void question_free(struct question *question)
{
        if (question->payload != NULL)
                explicit_bzero(question->payload, question->len);
        free(question->payload);
        free(question);
}

void ptpm_free(struct ptpm *ptpm)
{
        struct err err = {0};
        int status;

        if (ptpm == NULL)
                return;
        while (ptpm->first != NULL) {
                struct question *next = ptpm->first->next;

                question_free(ptpm->first);
                ptpm->first = next;
        }
        sd_event_source_disable_unref(ptpm->source);
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
        char text[401];

        if (wire_frame_decode(frame, &failure, sizeof(failure), err) != 0)
                return err->code;
        wire_text_copy(failure.text, text, sizeof(text));
        return err_set(err, err_from_wire(failure.code), "%s", text);
}

int ptpm_call(struct ptpm *ptpm, uint16_t code, const void *message,
              const struct ptpm_answer *ret_answer, struct err *err)
{
        struct wire_frame frame;

        if (wire_link_send(ptpm->link, code, ++ptpm->id, 0, message, NULL, err) != 0 ||
            wire_link_receive(ptpm->link, &frame, err) != 0)
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
        while (ptpm->first != NULL) {
                struct question *question = ptpm->first;

                ptpm->first = question->next;
                question->reply(question->user, NULL, err);
                question_free(question);
        }
        ptpm->lost(ptpm->lost_user, err);
}

static int ask_next(struct ptpm *ptpm, struct err *err)
{
        struct wire_frame frame = {.id = ++ptpm->id};

        if (ptpm->first == NULL || ptpm->asked)
                return 0;
        frame.message = ptpm->first->message;
        frame.payload = (struct bytes){ptpm->first->payload, ptpm->first->len};
        ptpm->asked = true;
        return wire_link_forward(ptpm->link, &frame, err);
}

/* The frame answers the first question; then the next one is asked. */
static int take_answer(struct ptpm *ptpm, const struct wire_frame *frame, struct err *err)
{
        struct question *question = ptpm->first;
        struct err failure = {0};

        if (question == NULL || !ptpm->asked || frame->id != ptpm->id)
                return err_set(err, ERR_MALFORMED, "arbiter: answers what nobody asked");
        ptpm->first = question->next;
        ptpm->asked = false;
        if (frame->message->code == ptpm_error_code) {
                (void)error_of(frame, &failure);
                question->reply(question->user, NULL, &failure);
        } else {
                question->reply(question->user, frame, NULL);
        }
        question_free(question);
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

int ptpm_ask(struct ptpm *ptpm, uint16_t code, const void *message, ptpm_reply_fn *reply,
             void *user, struct err *err)
{
        struct question *question;
        struct question **end = &ptpm->first;
        struct writer AUTO_WRITER w = {0};

        writer_init(&w, QUESTION_MAX);
        question = calloc(1, sizeof(*question));
        if (question == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        question->message = wire_message_find(&wire_ptpm_protocol, code);
        question->reply = reply;
        question->user = user;
        if (wire_encode(question->message, message, &w, err) != 0) {
                free(question);
                return err->code;
        }
        question->payload = writer_take(&w, &question->len);
        while (*end != NULL)
                end = &(*end)->next;
        *end = question;
        if (ask_next(ptpm, err) == 0)
                return 0;
        /* Only the first question is ever sent, so the one that failed to go out is ours. */
        ptpm->first = NULL;
        ptpm->asked = false;
        question_free(question);
        return err->code;
}
