#include "swtpm/relay.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/writer.h"

#define STATE_PERMANENT 1
#define FLAG_DECRYPTED  1U
#define FLAG_ENCRYPTED  2U
#define CLIENT_STALLS_S 10

void relay_init(struct relay *relay, struct engine_link *link)
{
        memset(relay, 0, sizeof(*relay));
        relay->link = link;
        link->client = -1;
        relay->client = -1;
        relay->passed_fd = -1;
}

void relay_accept(struct relay *relay, int client)
{
        const struct timeval patience = {.tv_sec = CLIENT_STALLS_S};

        /* A client that does not read its answers holds up nobody but itself, and not for ever. */
        (void)setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        relay->client = client;
        relay->link->client = client;
        relay->has_data = false;
        relay->shut_down = false;
        relay->in_len = 0;
}

void relay_hang_up(struct relay *relay)
{
        fd_close(&relay->client);
        relay->link->client = -1;
        fd_close(&relay->passed_fd);
        explicit_bzero(relay->in, sizeof(relay->in));
        relay->in_len = 0;
}

/* The engine's side ---------------------------------------------------------------------------- */

/* Waits for bytes of the engine's answer and serves its questions meanwhile. */
static int await_engine(struct engine_link *link, struct err *err)
{
        struct pollfd polled[] = {{.fd = link->control, .events = POLLIN},
                                  {.fd = wire_link_fd(link->wire), .events = POLLIN}};
        int rc = 0;

        do {
                if (poll(polled, ARRAY_SIZE(polled), -1) < 0 && errno != EINTR)
                        return err_set_errno(err, errno, "poll");
                if (polled[1].revents != 0)
                        rc = engine_link_serve(link, err);
        } while (rc == 0 && polled[0].revents == 0);
        return rc;
}

static int read_answer(struct engine_link *link, const struct control_shape *shape,
                       uint8_t ret_answer[CONTROL_ANSWER_MAX], size_t *ret_len, struct err *err)
{
        size_t have = 0;
        size_t want = 0;
        int rc;

        for (;;) {
                ssize_t k;

                rc = control_answer_len(shape, (struct bytes){ret_answer, have},
                                        CONTROL_ANSWER_MAX / 2, &want, err);
                if (rc < 0 || (rc == 0 && have >= want))
                        break;
                rc = await_engine(link, err);
                if (rc != 0)
                        return rc;
                k = recv(link->control, ret_answer + have, CONTROL_ANSWER_MAX - have, MSG_DONTWAIT);
                if (k <= 0) {
                        link->gone = true;
                        return err_set(err, ERR_UNREACHABLE, "the engine closed its channel");
                }
                have += (size_t)k;
        }
        *ret_len = have;
        return rc;
}

/* One request to the engine and its answer. fd: goes with it, or -1. */
static int ask_engine(struct engine_link *link, struct bytes request, int fd,
                      uint8_t ret_answer[CONTROL_ANSWER_MAX], size_t *ret_len, struct err *err)
{
        struct reader r = reader_from_bytes(request);
        uint32_t code = 0;
        ssize_t k;

        if (reader_get_be32(&r, &code) != 0)
                return err_set(err, ERR_MALFORMED, "control channel: no code");
        k = fd_send(link->control, request.data, request.len, &fd, fd >= 0 ? 1 : 0);
        if (k != (ssize_t)request.len) {
                link->gone = true;
                return err_set(err, ERR_UNREACHABLE, "the engine takes no request");
        }
        return read_answer(link, control_shape(code), ret_answer, ret_len, err);
}

static uint32_t result_of(struct bytes answer)
{
        struct reader r = reader_from_bytes(answer);
        uint32_t result = CONTROL_FAIL;

        return reader_get_be32(&r, &result) == 0 ? result : CONTROL_FAIL;
}

/* The client's side ---------------------------------------------------------------------------- */

static int send_client(const struct relay *relay, struct bytes data, struct err *err)
{
        size_t sent = 0;

        while (sent < data.len) {
                ssize_t k = send(relay->client, data.data + sent, data.len - sent, MSG_NOSIGNAL);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k <= 0)
                        return err_set(err, ERR_UNREACHABLE, "the client does not take its answer");
                sent += (size_t)k;
        }
        return 0;
}

/* Every answer has its whole fixed part, also with an error: QEMU waits for it. */
static int send_result(const struct relay *relay, uint32_t code, uint32_t result, struct err *err)
{
        uint8_t memory[32] = {0};
        struct writer w;

        writer_init_fixed(&w, memory, sizeof(memory));
        writer_put_be32(&w, result);
        return send_client(relay, (struct bytes){memory, control_shape(code)->answer_len}, err);
}

/* Messages ------------------------------------------------------------------------------------- */

static int pass_on(struct relay *relay, struct bytes request, uint32_t code, struct err *err)
{
        uint8_t answer[CONTROL_ANSWER_MAX];
        int AUTO_FD fd = TAKE_FD(relay->passed_fd);
        size_t len = 0;
        int rc = ask_engine(relay->link, request, fd, answer, &len, err);

        if (rc != 0)
                return rc;
        if (code == CONTROL_SET_DATAFD && result_of((struct bytes){answer, len}) == 0)
                relay->has_data = true;
        return send_client(relay, (struct bytes){answer, len}, err);
}

static int send_state(const struct relay *relay, struct bytes state, struct err *err)
{
        const bool sealed = relay->link->migration_key != NULL;
        uint8_t memory[16];
        struct writer w;
        int rc;

        writer_init_fixed(&w, memory, sizeof(memory));
        writer_put_be32(&w, 0);
        writer_put_be32(&w, sealed ? FLAG_ENCRYPTED : FLAG_DECRYPTED);
        writer_put_be32(&w, (uint32_t)state.len);
        writer_put_be32(&w, (uint32_t)state.len);
        rc = send_client(relay, writer_bytes(&w), err);
        return rc != 0 ? rc : send_client(relay, state, err);
}

static int get_state(struct relay *relay, struct bytes request, uint32_t code, struct err *err)
{
        struct engine_link *link = relay->link;
        struct reader r = reader_from_bytes(request);
        uint8_t answer[CONTROL_ANSWER_MAX];
        uint32_t type = 0;
        uint32_t offset = 0;
        size_t len = 0;
        int rc;

        if (reader_skip(&r, CONTROL_CODE_SIZE + 4) != 0 || reader_get_be32(&r, &type) != 0 ||
            reader_get_be32(&r, &offset) != 0 || offset != 0)
                return send_result(relay, code, CONTROL_BAD_PARAMETER, err);
        rc = ask_engine(link, request, -1, answer, &len, err);
        if (rc != 0)
                return rc;
        if (result_of((struct bytes){answer, len}) != 0)
                return send_client(relay, (struct bytes){answer, len}, err);
        if (type != STATE_PERMANENT)
                return send_state(relay, (struct bytes){NULL, 0}, err);
        return send_state(relay, (struct bytes){link->saved, link->saved_len}, err);
}

/* The engine hears of a token; its question for what that stands for is answered by the link. */
static int set_state(struct relay *relay, struct bytes request, uint32_t code, struct err *err)
{
        static const uint8_t token[ENGINE_TOKEN_SIZE] = "CTK1";
        struct reader r = reader_from_bytes(request);
        uint8_t memory[16 + ENGINE_TOKEN_SIZE];
        struct bytes data = {NULL, 0};
        struct err why = {0};
        struct writer w;
        uint32_t type = 0;

        if (reader_skip(&r, CONTROL_CODE_SIZE + 4) != 0 || reader_get_be32(&r, &type) != 0 ||
            type != STATE_PERMANENT || reader_skip(&r, 4) != 0 ||
            reader_get_bytes(&r, reader_left(&r), &data) != 0)
                return send_result(relay, code, CONTROL_BAD_PARAMETER, err);
        if (engine_link_take_package(relay->link, data, &why) != 0) {
                log_error(&(struct log_fields){.err = &why}, "a saved VM is refused");
                return send_result(relay, code, CONTROL_FAIL, err);
        }
        writer_init_fixed(&w, memory, sizeof(memory));
        writer_put_be32(&w, CONTROL_SET_STATEBLOB);
        writer_put_be32(&w, FLAG_DECRYPTED);
        writer_put_be32(&w, STATE_PERMANENT);
        writer_put_be32(&w, sizeof(token));
        writer_put(&w, token, sizeof(token));
        return pass_on(relay, writer_bytes(&w), code, err);
}

/* The engine stays for the next client; this program decides whether there is one. */
static int shut_down(struct relay *relay, struct bytes request, uint32_t code, struct err *err)
{
        (void)request;
        relay->shut_down = true;
        return send_result(relay, code, 0, err);
}

static int run_one(struct relay *relay, struct bytes request, struct err *err)
{
        static const struct {
                uint32_t code;
                int (*handle)(struct relay *relay, struct bytes request, uint32_t code,
                              struct err *err);
        } ours[] = {
            {CONTROL_GET_STATEBLOB, get_state},
            {CONTROL_SET_STATEBLOB, set_state},
            {CONTROL_SHUTDOWN, shut_down},
        };
        struct reader r = reader_from_bytes(request);
        uint32_t code = 0;

        if (reader_get_be32(&r, &code) != 0)
                return err_set(err, ERR_MALFORMED, "control channel: no code");
        for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
                if (ours[i].code == code)
                        return ours[i].handle(relay, request, code, err);
        return pass_on(relay, request, code, err);
}

static int fill(struct relay *relay, struct err *err)
{
        int fds[FD_PASS_MAX];
        size_t n_fds = 0;
        ssize_t k = fd_receive(relay->client, relay->in + relay->in_len,
                               sizeof(relay->in) - relay->in_len, fds, &n_fds);

        for (size_t i = 0; k > 0 && i < n_fds; i++) {
                fd_close(&relay->passed_fd);
                relay->passed_fd = fds[i];
        }
        if (k == -EINTR || k == -EAGAIN)
                return 0;
        if (k <= 0)
                return err_set(err, ERR_UNREACHABLE, "the client is gone");
        relay->in_len += (size_t)k;
        return 0;
}

int relay_run(struct relay *relay, struct err *err)
{
        size_t len = 0;
        int rc = fill(relay, err);

        while (rc == 0 && relay->in_len > 0 && !relay->shut_down) {
                const struct bytes input = {relay->in, relay->in_len};

                rc = control_request_len(input, &len, err);
                if (rc == 1 || (rc == 0 && len > relay->in_len))
                        return 0;
                if (rc == 0)
                        rc = run_one(relay, (struct bytes){relay->in, len}, err);
                if (rc != 0)
                        return rc;
                relay->in_len -= len;
                memmove(relay->in, relay->in + len, relay->in_len);
        }
        return rc;
}
