#include "tcb/engine-host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#include "base/fd.h"
#include "tcb/spares.h"
#include "vmm/engine.h"
#include "vmm/zygote.h"

/*
 * For a zygote that warms up, which takes a sixth of a second, after its own end alone. Everybody
 * waits meanwhile, so it is counted once for each zygote: a wake is tried again each second, and a
 * start is refused.
 */
#define WAKE_PATIENCE_MSEC  500
#define START_PATIENCE_MSEC 3000

#define ANSWER_TIMEOUT_USEC UINT64_C(60000000) /* for its start, and for each command of ours */

struct engine_host {
        sd_event_source *timeout;
        struct vmm_engine engine;
        uid_t uid;
        struct wire_event *core;
        const struct engine_host_ops *ops;
        void *user;
        bool ready;
        bool dead;
        bool asks;      /* and was not answered yet */
        bool parking;   /* was asked to */
        uint64_t nonce; /* until the engine has answered with it, what comes is not for us; or 0 */
        uint32_t init_count;
        uint64_t sequence; /* of the save that is not durable yet, 0 if none */
        bool draft;        /* ENGINE_START_DRAFT */
        engine_reply_fn *reply;
        void *reply_user;
        unsigned replies_due;
        char degraded[520];
        char libtpms[65];
};

static void die(struct engine_host *host, const struct err *err)
{
        if (host->dead)
                return;
        host->dead = true;
        vmm_engine_kill(&host->engine);
        host->ops->died(host->user, err);
}

static void start_timeout(struct engine_host *host)
{
        (void)sd_event_source_set_time_relative(host->timeout, ANSWER_TIMEOUT_USEC);
        (void)sd_event_source_set_enabled(host->timeout, SD_EVENT_ONESHOT);
}

/* An engine that hangs must not hold up its VM or its manufacture for ever. */
static int on_timeout(sd_event_source *source, uint64_t usec, void *user)
{
        struct engine_host *host = user;
        struct err err = {0};

        (void)source;
        (void)usec;
        /* While a save is not durable it waits for us, not we for it. */
        if (host->sequence != 0) {
                start_timeout(host);
                return 0;
        }
        (void)err_set(&err, ERR_TIMEOUT, "engine: no answer in time");
        die(host, &err);
        return 0;
}

static void stop_timeout(struct engine_host *host)
{
        (void)sd_event_source_set_enabled(host->timeout, SD_EVENT_OFF);
}

static int take_ready(struct engine_host *host, struct wire_frame *frame, struct err *err)
{
        struct engine_ready ready;
        char text[257];

        if (wire_frame_decode(frame, &ready, sizeof(ready), err) != 0)
                return err->code;
        if (host->ready)
                return err_set(err, ERR_MALFORMED, "engine: ready twice");
        host->ready = true;
        if (host->replies_due == 0)
                stop_timeout(host);
        wire_text_copy(ready.sandbox, text, sizeof(text));
        wire_text_copy(ready.libtpms, host->libtpms, sizeof(host->libtpms));
        (void)snprintf(host->degraded, sizeof(host->degraded), "%s%s%s", host->engine.child.words,
                       host->engine.child.words[0] != '\0' && text[0] != '\0' ? "; " : "", text);
        host->ops->ready(host->user);
        return 0;
}

/* Saves come one at a time: the engine waits for each, unless it is a draft. */
static int take_persist(struct engine_host *host, struct wire_frame *frame, struct err *err)
{
        struct engine_persist persist;

        if (wire_frame_decode(frame, &persist, sizeof(persist), err) != 0)
                return err->code;
        if (host->sequence != 0 || persist.sequence == 0)
                return err_set(err, ERR_MALFORMED, "engine: saves before the last save is durable");
        if (persist.kind < ENGINE_BLOB_PERMANENT || persist.kind > ENGINE_BLOB_SAVESTATE)
                return err_set(err, ERR_MALFORMED, "engine: state of kind %u", persist.kind);
        /* Loaded again it would mean "manufacture": the identity would be gone. */
        if (persist.kind == ENGINE_BLOB_PERMANENT && persist.blob.len == 0)
                return err_set(err, ERR_MALFORMED, "engine: empty permanent state");
        host->sequence = host->draft ? 0 : persist.sequence;
        return host->ops->persist(host->user, &persist, err);
}

static int take_response(struct engine_host *host, struct wire_frame *frame, struct err *err)
{
        struct engine_response response;
        engine_reply_fn *reply = host->reply;

        if (wire_frame_decode(frame, &response, sizeof(response), err) != 0)
                return err->code;
        if (reply == NULL || !host->ready)
                return err_set(err, ERR_MALFORMED, "engine: answers what nobody asked");
        if (--host->replies_due == 0) {
                host->reply = NULL;
                stop_timeout(host);
        }
        reply(host->reply_user, response.response);
        return 0;
}

static int take_event(struct engine_host *host, struct wire_frame *frame, struct err *err)
{
        struct engine_event event;

        if (wire_frame_decode(frame, &event, sizeof(event), err) != 0)
                return err->code;
        if (event.kind < ENGINE_EVENT_INIT || event.kind > ENGINE_EVENT_REFUSED)
                return err_set(err, ERR_MALFORMED, "engine: event of kind %u", event.kind);
        /* The witness of resets goes in one direction. */
        if (event.init_count < host->init_count)
                return err_set(err, ERR_MALFORMED, "engine: INIT count goes back");
        host->init_count = event.init_count;
        host->ops->event(host->user, event.kind, event.init_count);
        return 0;
}

static int take_failure(struct engine_host *host, struct wire_frame *frame, struct err *err)
{
        struct engine_failed failed;
        char text[401];

        (void)host;
        if (wire_frame_decode(frame, &failed, sizeof(failed), err) != 0)
                return err->code;
        wire_text_copy(failed.text, text, sizeof(text));
        (void)err_set(err, err_from_wire(failed.code), "engine: %s", text);
        return err->code == 0 ? err_set(err, ERR_FAILED, "engine: %s", text) : err->code;
}

static int take_question(struct engine_host *host, enum engine_question_kind kind,
                         struct bytes data, struct err *err)
{
        const struct engine_question question = {kind, data};

        if (host->ops->ask == NULL || host->asks)
                return err_set(err, ERR_MALFORMED, "engine: asks what it must not");
        host->asks = true;
        return host->ops->ask(host->user, &question, err);
}

static int take_claim(struct engine_host *host, struct wire_frame *frame, struct err *err)
{
        struct engine_claim claim;
        int rc = wire_frame_decode(frame, &claim, sizeof(claim), err);

        return rc != 0 ? rc : take_question(host, ENGINE_ASKS_CLAIM, (struct bytes){NULL, 0}, err);
}

static int take_save(struct engine_host *host, struct wire_frame *frame, struct err *err)
{
        struct engine_save save;
        int rc = wire_frame_decode(frame, &save, sizeof(save), err);

        return rc != 0 ? rc : take_question(host, ENGINE_ASKS_SAVE, save.volatile_state, err);
}

static int take_restore(struct engine_host *host, struct wire_frame *frame, struct err *err)
{
        struct engine_restore restore;
        int rc = wire_frame_decode(frame, &restore, sizeof(restore), err);

        return rc != 0 ? rc : take_question(host, ENGINE_ASKS_RESTORE, restore.token, err);
}

static int end_parking(struct engine_host *host, struct err *err)
{
        if (!host->parking || host->ops->parked == NULL)
                return err_set(err, ERR_MALFORMED, "engine: parks unasked");
        host->parking = false;
        stop_timeout(host);
        return 0;
}

static int take_parked(struct engine_host *host, struct wire_frame *frame, struct err *err)
{
        struct engine_parked parked;
        int rc = wire_frame_decode(frame, &parked, sizeof(parked), err);

        if (rc == 0)
                rc = end_parking(host, err);
        if (rc != 0)
                return rc;
        if (parked.init_count != host->init_count || parked.volatile_state.len == 0 ||
            (parked.marks & ~ENGINE_MARKS_KNOWN) != 0 || host->sequence != 0)
                return err_set(err, ERR_MALFORMED, "engine: parks with nothing that could wake");
        return host->ops->parked(host->user, &parked, frame->fds, err);
}

static int take_busy(struct engine_host *host, struct wire_frame *frame, struct err *err)
{
        int rc = end_parking(host, err);

        (void)frame;
        return rc != 0 ? rc : host->ops->parked(host->user, NULL, NULL, err);
}

/* The owner is told of the last event: it may have been told to nobody. */
static int end_adoption(struct engine_host *host, const struct engine_adopted *adopted)
{
        const uint8_t event = adopted->event;

        host->nonce = 0;
        host->init_count = adopted->init_count;
        if (!adopted->ready)
                return 0;
        host->ready = true;
        stop_timeout(host);
        host->ops->ready(host->user);
        if (event != 0 && !host->dead)
                host->ops->event(host->user, event, host->init_count);
        return 0;
}

static int take_adopted(struct engine_host *host, struct wire_frame *frame, struct err *err)
{
        struct engine_adopted adopted;
        int rc = wire_frame_decode(frame, &adopted, sizeof(adopted), err);

        if (rc != 0)
                return rc;
        if (host->nonce == 0)
                return err_set(err, ERR_MALFORMED, "engine: adopted unasked");
        if (adopted.nonce != host->nonce)
                return 0;
        if (adopted.event > ENGINE_EVENT_REFUSED)
                return err_set(err, ERR_MALFORMED, "engine: event of kind %u", adopted.event);
        wire_text_copy(adopted.libtpms, host->libtpms, sizeof(host->libtpms));
        wire_text_copy(adopted.sandbox, host->degraded, sizeof(host->degraded));
        return end_adoption(host, &adopted);
}

static const struct {
        uint16_t code;
        int (*take)(struct engine_host *host, struct wire_frame *frame, struct err *err);
} takers[] = {
    {engine_ready_code, take_ready},       {engine_persist_code, take_persist},
    {engine_response_code, take_response}, {engine_event_code, take_event},
    {engine_failed_code, take_failure},    {engine_claim_code, take_claim},
    {engine_save_code, take_save},         {engine_restore_code, take_restore},
    {engine_parked_code, take_parked},     {engine_busy_code, take_busy},
    {engine_adopted_code, take_adopted},
};

static int on_frame(void *user, struct wire_frame *frame, struct err *err)
{
        const struct engine_host *host = user;

        if (host->nonce != 0 && frame->message->code != engine_adopted_code &&
            frame->message->code != engine_failed_code)
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(takers); i++)
                if (takers[i].code == frame->message->code)
                        return takers[i].take(user, frame, err);
        return err_set(err, ERR_MALFORMED, "engine: unexpected %s", frame->message->name);
}

static void on_closed(void *user, const struct err *err)
{
        die(user, err);
}

static const struct wire_event_ops link_ops = {on_frame, on_closed};

static int watch_answers(struct engine_host *host, sd_event *event, struct err *err)
{
        int rc = sd_event_add_time_relative(event, &host->timeout, CLOCK_MONOTONIC, 0, 0,
                                            on_timeout, host);

        if (rc < 0)
                return err_set_errno(err, -rc, "watch an engine");
        start_timeout(host);
        return 0;
}

static int patience_of(const struct engine_host_request *request)
{
        if (request->patience_msec != 0)
                return request->patience_msec;
        return request->wake != NULL ? WAKE_PATIENCE_MSEC : START_PATIENCE_MSEC;
}

static int start_process(struct engine_host *host, const struct engine_host_request *request,
                         int core, struct err *err)
{
        const struct vmm_zygote_request fork = {.uid = request->uid,
                                                .core = core,
                                                .control = request->control,
                                                .nice = request->nice,
                                                .memory_max = request->memory_max,
                                                .patience_msec = patience_of(request)};

        if (request->zygote == NULL)
                return vmm_engine_start(request->path, request->uid, core, request->control,
                                        &host->engine, err);
        if (vmm_zygote_fork(request->zygote, &fork, &host->engine.child, err) != 0)
                return err->code;
        (void)snprintf(host->engine.child.words, sizeof(host->engine.child.words), "%s",
                       vmm_zygote_words(request->zygote));
        return 0;
}

static int send_start(struct engine_host *host, const struct engine_host_request *request,
                      struct err *err)
{
        struct engine_start start = {
            .flags = request->flags, .permanent = request->permanent, .seed = request->seed};

        memcpy(start.uuid, request->uuid, sizeof(start.uuid));
        return wire_event_send(host->core, engine_start_code, 0, 0, &start, NULL, err);
}

static int send_wake(struct engine_host *host, const struct engine_host_request *request,
                     struct err *err)
{
        struct engine_wake wake = *request->wake;

        host->init_count = wake.init_count;
        wake.flags = request->flags;
        wake.permanent = request->permanent;
        memcpy(wake.uuid, request->uuid, sizeof(wake.uuid));
        return wire_event_send(host->core, engine_wake_code, 0, 0, &wake, &request->data, err);
}

/* Takes fd. */
static int listen_to(struct engine_host *host, const struct engine_host_request *request, int fd,
                     struct err *err)
{
        return request->hub != NULL
                   ? wire_event_new_in(request->hub, fd, &wire_engine_protocol, WIRE_CLIENT,
                                       &link_ops, host, &host->core, err)
                   : wire_event_new(request->event, fd, &wire_engine_protocol, WIRE_CLIENT,
                                    &link_ops, host, &host->core, err);
}

static int fork_engine(struct engine_host *host, const struct engine_host_request *request,
                       int *ret_core, struct err *err)
{
        int core[2];
        int rc;

        if (fd_socketpair(SOCK_SEQPACKET, core, err) != 0)
                return err->code;
        rc = start_process(host, request, core[1], err);
        fd_close(&core[1]);
        if (rc != 0) {
                fd_close(&core[0]);
                return rc;
        }
        host->uid = request->uid;
        *ret_core = core[0];
        return 0;
}

static bool take_spare(struct engine_host *host, const struct engine_host_request *request,
                       int *ret_core)
{
        struct spare spare;

        if (request->spares == NULL || !spares_take(request->spares, request->nice, &spare))
                return false;
        host->engine.child = spare.child;
        host->uid = spare.uid;
        *ret_core = spare.core;
        return true;
}

static int attach(struct engine_host *host, int control, struct err *err)
{
        const struct engine_attach attach = {0};
        int rc = fd_set_nonblocking(control, err);

        return rc != 0
                   ? rc
                   : wire_event_send(host->core, engine_attach_code, 0, 0, &attach, &control, err);
}

static int connect_engine(struct engine_host *host, const struct engine_host_request *request,
                          struct err *err)
{
        int core = -1;
        const bool spare = take_spare(host, request, &core);
        int rc = spare ? 0 : fork_engine(host, request, &core, err);

        if (rc == 0)
                rc = listen_to(host, request, core, err);
        if (rc == 0 && spare && request->control >= 0)
                rc = attach(host, request->control, err);
        if (rc != 0)
                return rc;
        return request->wake != NULL ? send_wake(host, request, err)
                                     : send_start(host, request, err);
}

int engine_host_start(const struct engine_host_request *request, struct engine_host **ret_host,
                      struct err *err)
{
        struct engine_host *host = calloc(1, sizeof(*host));

        if (host == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        host->ops = request->ops;
        host->user = request->user;
        host->draft = (request->flags & ENGINE_START_DRAFT) != 0;
        if (watch_answers(host, request->event, err) != 0 ||
            connect_engine(host, request, err) != 0) {
                engine_host_free(host);
                return err->code;
        }
        *ret_host = host;
        return 0;
}

static int ask_to_adopt(struct engine_host *host, const struct engine_host_request *request,
                        int core, struct err *err)
{
        struct engine_adopt adopt = {.nonce = 0};
        int AUTO_FD owned = core;
        int rc = watch_answers(host, request->event, err);

        if (rc != 0)
                return rc;
        if (getrandom(&adopt.nonce, sizeof(adopt.nonce), 0) != (ssize_t)sizeof(adopt.nonce))
                return err_set_errno(err, errno, "draw a nonce");
        host->nonce = adopt.nonce | 1; /* never 0 */
        adopt.nonce = host->nonce;
        rc = listen_to(host, request, TAKE_FD(owned), err);
        if (rc != 0)
                return rc;
        wire_event_resume(host->core);
        /* One that is gone by now says so in the loop, as any other. */
        if (wire_event_send(host->core, engine_adopt_code, 0, 0, &adopt, NULL, err) != 0)
                *err = (struct err){0};
        return 0;
}

int engine_host_adopt(const struct engine_host_request *request, int core,
                      const struct spawn_child *child, struct engine_host **ret_host,
                      struct err *err)
{
        struct engine_host *host = calloc(1, sizeof(*host));
        int AUTO_FD owned = core;
        int AUTO_FD pidfd = child->pidfd;
        int rc;

        if (host == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        host->ops = request->ops;
        host->user = request->user;
        host->engine.child = *child;
        host->engine.child.pidfd = TAKE_FD(pidfd);
        rc = ask_to_adopt(host, request, TAKE_FD(owned), err);
        if (rc != 0) {
                engine_host_free(host);
                return rc;
        }
        *ret_host = host;
        return 0;
}

void engine_host_look(const struct engine_host *host, int ret_fds[2])
{
        ret_fds[0] = wire_event_fd(host->core);
        ret_fds[1] = host->engine.child.pidfd;
}

void engine_host_hand_over(struct engine_host *host, const struct engine_host_ops *ops, void *user)
{
        host->ops = ops;
        host->user = user;
}

int engine_host_decide(struct engine_host *host, const struct engine_decided *decided,
                       struct err *err)
{
        if (host->dead || !host->asks)
                return 0;
        host->asks = false;
        return wire_event_send(host->core, engine_decided_code, 0, 0, decided, NULL, err);
}

int engine_host_park(struct engine_host *host, bool idle_only, struct err *err)
{
        const struct engine_park park = {.idle_only = idle_only};

        if (host->dead || !host->ready || host->parking || host->reply != NULL)
                return err_set(err, ERR_CONFLICT, "engine is busy or gone");
        host->parking = true;
        start_timeout(host);
        return wire_event_send(host->core, engine_park_code, 0, 0, &park, NULL, err);
}

int engine_host_unpark(struct engine_host *host, struct err *err)
{
        const struct engine_unpark unpark = {0};

        if (host->dead)
                return 0;
        return wire_event_send(host->core, engine_unpark_code, 0, 0, &unpark, NULL, err);
}

uint32_t engine_host_init_count(const struct engine_host *host)
{
        return host->init_count;
}

void engine_host_free(struct engine_host *host)
{
        if (host == NULL)
                return;
        host->dead = true;
        sd_event_source_disable_unref(host->timeout);
        wire_event_free(host->core);
        vmm_engine_kill(&host->engine);
        free(host);
}

static int on_ended(sd_event_source *source, int pidfd, uint32_t revents, void *user)
{
        (void)revents;
        (void)user;
        spawn_reap(pidfd);
        /* The loop has the only reference. */
        (void)sd_event_source_set_floating(source, false);
        return 0;
}

static int reap_later(sd_event *event, int pidfd)
{
        sd_event_source *source = NULL;
        int rc = sd_event_add_io(event, &source, pidfd, EPOLLIN, on_ended, NULL);

        if (rc < 0)
                return rc;
        (void)sd_event_source_set_io_fd_own(source, true);
        (void)sd_event_source_set_floating(source, true);
        (void)sd_event_source_unref(source);
        return 0;
}

void engine_host_dismiss(struct engine_host *host)
{
        int AUTO_FD pidfd = -1;

        if (host == NULL)
                return;
        pidfd = spawn_dismiss(&host->engine.child);
        if (pidfd >= 0 && reap_later(sd_event_source_get_event(host->timeout), pidfd) >= 0)
                (void)TAKE_FD(pidfd);
        else if (pidfd >= 0)
                spawn_reap(pidfd);
        engine_host_free(host);
}

uid_t engine_host_uid(const struct engine_host *host)
{
        return host->uid;
}

pid_t engine_host_pid(const struct engine_host *host)
{
        return host->engine.child.pid;
}

const char *engine_host_degraded(const struct engine_host *host)
{
        return host->degraded;
}

const char *engine_host_libtpms(const struct engine_host *host)
{
        return host->libtpms;
}

int engine_host_used_up(struct engine_host *host, struct err *err)
{
        const struct engine_used_up used_up = {0};

        if (host->dead)
                return 0;
        return wire_event_send(host->core, engine_used_up_code, 0, 0, &used_up, NULL, err);
}

int engine_host_persisted(struct engine_host *host, uint64_t sequence, struct err *err)
{
        struct engine_persisted done = {.sequence = sequence};

        if (host->dead)
                return 0;
        host->sequence = 0;
        return wire_event_send(host->core, engine_persisted_code, 0, 0, &done, NULL, err);
}

int engine_host_command(struct engine_host *host, struct bytes command, engine_reply_fn *reply,
                        void *user, struct err *err)
{
        struct engine_command message = {.command = command};

        const bool also = host->draft && host->reply == reply && host->reply_user == user;

        if (host->dead || (host->reply != NULL && !also))
                return err_set(err, ERR_CONFLICT, "engine is busy or gone");
        host->reply = reply;
        host->reply_user = user;
        host->replies_due++;
        start_timeout(host);
        return wire_event_send(host->core, engine_command_code, 0, 0, &message, NULL, err);
}
