#include "agent/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "base/log.h"

static void answer_done(struct answer *answer)
{
        secret_free(answer->credential);
        for (size_t i = 0; i < SERVE_LOGS; i++)
                free(answer->logs[i]);
        *answer = (struct answer){0};
}
#define AUTO_ANSWER CLEANUP(answer_done)

static int decode_request(const struct wire_frame *frame, struct request *ret_request,
                          struct err *err)
{
        struct request request = {.code = frame->message->code};

        if (frame->message->size > sizeof(request.as))
                return err_set(err, ERR_UNSUPPORTED, "unknown request %s", frame->message->name);
        if (wire_frame_decode(frame, &request.as, frame->message->size, err) != 0)
                return err->code;
        *ret_request = request;
        return 0;
}

static void answer_error(struct answer *answer, const struct err *cause)
{
        answer_done(answer);
        answer->code = agent_error_code;
        answer->as.error.code = (uint16_t)err_to_wire(cause->code);
        answer->as.error.text = wire_text(err_public_text(cause->code));
}

/* One request. Only what breaks the link is an error here. */
static int handle_frame(struct wire_link *link, const struct wire_frame *frame,
                        const struct serve_actor *actor, bool *ret_stop, struct err *err)
{
        struct answer AUTO_ANSWER answer = {0};
        struct request request;
        struct err cause = {0};

        if (decode_request(frame, &request, err) != 0)
                return err->code;
        if (actor->act(actor->user, &request, &answer, &cause) != 0) {
                log_warning((&(struct log_fields){.op = frame->message->name, .err = &cause}),
                            "AGENT-REFUSED");
                answer_error(&answer, &cause);
        }
        if (answer.code != 0 &&
            wire_link_send(link, answer.code, frame->id, 0, &answer.as, NULL, err) != 0)
                return err->code;
        *ret_stop = answer.stop;
        return 0;
}

/*
 * Requests are read only while no answer waits to go out: a host that asks and does not read
 * holds up itself and not our memory.
 */
static int wait_link(struct wire_link *link, struct err *err)
{
        bool output = wire_link_has_output(link);
        struct pollfd fd = {.fd = wire_link_fd(link), .events = output ? POLLOUT : POLLIN};

        if (poll(&fd, 1, -1) < 0 && errno != EINTR)
                return err_set_errno(err, errno, "wait for the host");
        if (!output)
                return 0;
        /* A virtio port says HUP while the host is away: what waits is not for its successor. */
        if ((fd.revents & (POLLHUP | POLLERR)) != 0)
                return err_set(err, ERR_UNREACHABLE, "the host went away");
        return wire_link_flush(link, err);
}

/* Sent while the descriptor still blocks: on a virtio port that waits until the host has come. */
static int greet(struct wire_link *link, struct err *err)
{
        struct agent_hello hello = {.version = wire_text(CATENA_VERSION)};
        int flags = fcntl(wire_link_fd(link), F_GETFL);

        if (flags < 0 || fcntl(wire_link_fd(link), F_SETFL, flags & ~O_NONBLOCK) < 0)
                return err_set_errno(err, errno, "prepare the channel");
        if (wire_link_send(link, agent_hello_code, 0, 0, &hello, NULL, err) != 0)
                return err->code;
        return fd_set_nonblocking(wire_link_fd(link), err);
}

int serve_host(int fd, const struct serve_actor *actor, struct err *err)
{
        struct wire_link AUTO_LINK *link = NULL;
        bool stop = false;

        if (wire_link_new(fd, &wire_agent_protocol, WIRE_SERVER, &link, err) != 0 ||
            greet(link, err) != 0)
                return err->code;
        while (!stop) {
                struct wire_frame frame;
                int rc = WIRE_AGAIN;

                if (!wire_link_has_output(link))
                        rc = wire_link_receive(link, &frame, err);
                if (rc == 0)
                        rc = handle_frame(link, &frame, actor, &stop, err);
                else if (rc == WIRE_AGAIN)
                        rc = wait_link(link, err);
                if (rc != 0)
                        return rc;
        }
        return 0;
}
