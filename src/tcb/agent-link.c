#include "tcb/agent-link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "base/log.h"

#define USEC_PER_SEC 1000000U
#define QUESTION_MAX 4096 /* bytes of an encoded question */
#define PENDING_MAX  64   /* questions that wait for one guest */
#define DRAIN_MAX    2048 /* reads of what a lost peer left, 8 MiB */

/* A question that waits for its turn, encoded already: its fields may be gone by then. */
struct pending {
        struct pending *next;
        const struct wire_message *message;
        uint8_t *payload;
        size_t len;
        struct agent_question question;
};

struct agent_link {
        sd_event *event;
        int fd; /* our end, kept while a wire_event on it comes and goes */
        struct wire_event *we;
        sd_event_source *timeout;
        const struct agent_link_ops *ops;
        void *user;
        bool up;
        bool asked; /* the first question was sent */
        uint32_t id;
        uint32_t probe; /* the question that shows whether an agent is there, or 0 */
        struct pending *first;
        size_t n_pending;
};

static void pending_free(struct pending *pending)
{
        free(pending->payload);
        free(pending);
}

static int ask_next(struct agent_link *link, struct err *err)
{
        struct pending *pending = link->first;
        struct wire_frame frame;

        if (pending == NULL || link->asked)
                return 0;
        frame = (struct wire_frame){.message = pending->message,
                                    .id = ++link->id,
                                    .payload = {pending->payload, pending->len}};
        link->asked = true;
        (void)sd_event_source_set_time_relative(link->timeout,
                                                (uint64_t)AGENT_TIMEOUT_SEC * USEC_PER_SEC);
        (void)sd_event_source_set_enabled(link->timeout, SD_EVENT_ONESHOT);
        return wire_event_forward(link->we, &frame, err);
}

/* The first question gets its answer, or why there is none; what the reply does may bring more. */
static void settle(struct agent_link *link, const struct wire_frame *frame, const struct err *err)
{
        struct pending *pending = link->first;

        link->first = pending->next;
        link->n_pending--;
        link->asked = false;
        (void)sd_event_source_set_enabled(link->timeout, SD_EVENT_OFF);
        pending->question.reply(pending->question.user, frame, err);
        pending_free(pending);
}

/* Whoever waits is told that there will be no answer. */
static void answer_all(struct agent_link *link, const struct err *err)
{
        link->up = false;
        while (link->first != NULL)
                settle(link, NULL, err);
}

static void answer(struct agent_link *link, const struct wire_frame *frame, const struct err *err)
{
        struct err failure = {0};

        settle(link, frame, err);
        if (link->up && ask_next(link, &failure) != 0)
                answer_all(link, &failure);
}

static int take_hello(struct agent_link *link, const struct wire_frame *frame, struct err *err)
{
        struct agent_hello hello;
        struct err gone = {0};
        char version[65];

        if (wire_frame_decode(frame, &hello, sizeof(hello), err) != 0)
                return err->code;
        /* Another agent than the one that was asked: the guest was reset, or it was started anew.
         */
        (void)err_set(&gone, ERR_UNREACHABLE, "the guest's agent was started again");
        answer_all(link, &gone);
        link->up = true;
        link->ops->hello(link->user, wire_text_copy(hello.version, version, sizeof(version)));
        return 0;
}

static int take_error(struct agent_link *link, const struct wire_frame *frame, struct err *err)
{
        struct agent_error failure;
        struct err words = {0};
        char text[401];

        if (wire_frame_decode(frame, &failure, sizeof(failure), err) != 0)
                return err->code;
        wire_text_copy(failure.text, text, sizeof(text));
        (void)err_set(&words, ERR_FAILED, "agent: %s", text);
        answer(link, NULL, &words);
        return 0;
}

/* Whatever it answers, it is there. */
static int take_probe(struct agent_link *link)
{
        link->probe = 0;
        link->up = true;
        link->ops->hello(link->user, "of before");
        return 0;
}

/* An answer that is late or that nobody asked for is dropped: only ids of now count. */
static int on_frame(void *user, struct wire_frame *frame, struct err *err)
{
        struct agent_link *link = user;
        struct err words = {0};

        if (frame->message->code == agent_hello_code)
                return take_hello(link, frame, err);
        if (!link->up && link->probe != 0 && frame->id == link->probe)
                return take_probe(link);
        if (!link->asked || frame->id != link->id)
                return 0;
        if (frame->message->code == agent_error_code)
                return take_error(link, frame, err);
        if (frame->message->code == link->first->question.expected) {
                answer(link, frame, NULL);
                return 0;
        }
        (void)err_set(&words, ERR_MALFORMED, "agent: answers with %s", frame->message->name);
        answer(link, NULL, &words);
        return 0;
}

static void on_closed(void *user, const struct err *err);

static const struct wire_event_ops link_ops = {on_frame, on_closed};

/* A link on the channel that expects a hello first. */
static int connect_link(struct agent_link *link, struct err *err)
{
        int fd = fcntl(link->fd, F_DUPFD_CLOEXEC, 3);

        if (fd < 0)
                return err_set_errno(err, errno, "agent channel");
        return wire_event_new(link->event, fd, &wire_agent_protocol, WIRE_CLIENT, &link_ops, link,
                              &link->we, err);
}

/* What is left of the peer before: a frame cut in its middle would swallow the next hello. */
static void drain(struct agent_link *link)
{
        uint8_t block[4096];

        for (int i = 0; i < DRAIN_MAX; i++)
                if (recv(link->fd, block, sizeof(block), MSG_DONTWAIT) <= 0)
                        return;
}

static void begin_anew(struct agent_link *link, const struct err *reason)
{
        struct err err = {0};

        answer_all(link, reason);
        wire_event_free(TAKE(link->we));
        drain(link);
        if (connect_link(link, &err) != 0)
                log_warning((&(struct log_fields){.peer = "agent", .err = &err}),
                            "the guest's agent cannot be heard any more");
        link->ops->closed(link->user, reason);
}

/* QEMU has gone: nothing follows. Whatever else the guest did, a new hello may follow. */
static void on_closed(void *user, const struct err *err)
{
        struct agent_link *link = user;
        struct err reason = *err;

        if (reason.code != ERR_UNREACHABLE) {
                begin_anew(link, &reason);
                return;
        }
        answer_all(link, &reason);
        link->ops->closed(link->user, &reason);
}

void agent_link_reset(struct agent_link *link)
{
        struct err reason = {0};

        (void)err_set(&reason, ERR_UNREACHABLE, "the guest was reset");
        begin_anew(link, &reason);
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *user)
{
        struct agent_link *link = user;
        struct err err = {0};

        (void)source;
        (void)usec;
        (void)err_set(&err, ERR_TIMEOUT, "agent: no answer in %d seconds", AGENT_TIMEOUT_SEC);
        if (link->asked)
                answer(link, NULL, &err);
        return 0;
}

int agent_link_new(sd_event *event, int fd, const struct agent_link_ops *ops, void *user,
                   struct agent_link **ret_link, struct err *err)
{
        int AUTO_FD owned = fd;
        struct agent_link *link = calloc(1, sizeof(*link));
        int rc;

        if (link == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        link->event = event;
        link->fd = TAKE_FD(owned);
        link->ops = ops;
        link->user = user;
        rc = sd_event_add_time_relative(event, &link->timeout, CLOCK_MONOTONIC, 0, 0, on_timeout,
                                        link);
        if (rc >= 0)
                rc = sd_event_source_set_enabled(link->timeout, SD_EVENT_OFF);
        if (rc < 0)
                rc = err_set_errno(err, -rc, "watch the agent");
        else
                rc = connect_link(link, err);
        if (rc != 0) {
                agent_link_free(link);
                return rc;
        }
        *ret_link = link;
        return 0;
}

/* One that is there greets the new peer with its next frame, so it is asked for one. */
int agent_link_adopt(sd_event *event, int fd, const struct agent_link_ops *ops, void *user,
                     struct agent_link **ret_link, struct err *err)
{
        const struct agent_identify identify = {0};
        struct agent_link *link;
        int rc = agent_link_new(event, fd, ops, user, &link, err);

        if (rc != 0)
                return rc;
        drain(link);
        wire_event_resync(link->we);
        /* Not an id that the one before had come to. */
        link->id = (uint32_t)time(NULL) | 1U << 31;
        link->probe = ++link->id;
        rc = wire_event_send(link->we, agent_identify_code, link->probe, 0, &identify, NULL, err);
        if (rc != 0) {
                agent_link_free(link);
                return rc;
        }
        *ret_link = link;
        return 0;
}

int agent_link_fd(const struct agent_link *link)
{
        return link->fd;
}

void agent_link_free(struct agent_link *link)
{
        struct err err = {0};

        if (link == NULL)
                return;
        (void)err_set(&err, ERR_UNREACHABLE, "the VM was stopped");
        answer_all(link, &err);
        sd_event_source_disable_unref(link->timeout);
        wire_event_free(link->we);
        fd_close(&link->fd);
        free(link);
}

bool agent_link_is_up(const struct agent_link *link)
{
        return link != NULL && link->up;
}

static int send_only(struct agent_link *link, const struct agent_question *question,
                     struct err *err)
{
        return wire_event_send(link->we, question->code, ++link->id, 0, question->message, NULL,
                               err);
}

int agent_link_ask(struct agent_link *link, const struct agent_question *question, struct err *err)
{
        struct pending **end;
        struct pending *pending;
        struct writer AUTO_WRITER w = {0};

        writer_init(&w, QUESTION_MAX);
        if (!agent_link_is_up(link))
                return err_set(err, ERR_UNREACHABLE, "the guest's agent does not answer");
        if (question->reply == NULL)
                return send_only(link, question, err);
        if (link->n_pending == PENDING_MAX)
                return err_set(err, ERR_LIMIT, "too many questions wait for the guest's agent");
        pending = calloc(1, sizeof(*pending));
        if (pending == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        pending->message = wire_message_find(&wire_agent_protocol, question->code);
        pending->question = *question;
        if (wire_encode(pending->message, question->message, &w, err) != 0) {
                free(pending);
                return err->code;
        }
        pending->payload = writer_take(&w, &pending->len);
        for (end = &link->first; *end != NULL; end = &(*end)->next)
                ;
        *end = pending;
        link->n_pending++;
        if (ask_next(link, err) == 0)
                return 0;
        /* Only the first question is ever sent, so the one that failed to go out is ours. */
        link->first = NULL;
        link->n_pending--;
        link->asked = false;
        pending_free(pending);
        return err->code;
}
