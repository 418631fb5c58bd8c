#include "tpm/tcti-fd.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <tss2/tss2_tpm2_types.h>

#include "base/reader.h"

#define TCTI_FD_MAGIC    UINT64_C(0x636174656e616664)
#define TCTI_FD_VERSION  2
#define TCTI_HEADER_SIZE 10 /* tag, size, code: TPM 2.0 Part 1, 18.2 */

struct tcti_fd {
        TSS2_TCTI_CONTEXT_COMMON_V2 common; /* must be first: tss2 casts */
        struct tpm_fd_options options;
        bool waiting;     /* a command was sent, its response not yet taken */
        bool broken;      /* the framing is lost */
        int64_t deadline; /* of the command under way, CLOCK_MONOTONIC ms */
        size_t got;
        uint8_t response[TPM2_MAX_RESPONSE_SIZE];
        struct err err;
};

static struct tcti_fd *from_tcti(TSS2_TCTI_CONTEXT *tcti)
{
        return (struct tcti_fd *)(void *)tcti;
}

static int64_t now_msec(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int serve_side(struct tcti_fd *t)
{
        struct err err = {0};
        /* Called only where a side was given. NOLINTNEXTLINE(*-CallAndMessage) */
        int rc = t->options.side(t->options.arg, &err);

        if (rc == 0)
                return 0;
        t->err = err;
        return err_wrap(&t->err, "serve the engine while it works");
}

/*
 * Waits until the socket is ready for events, serving the side descriptor meanwhile. Returns 1
 * when ready, 0 when the time is over, or an error.
 */
static int wait_ready(struct tcti_fd *t, short events, int64_t until)
{
        bool has_side = t->options.side_fd >= 0 && t->options.side != NULL;

        for (;;) {
                struct pollfd fds[2] = {
                    {.fd = t->options.fd, .events = events},
                    {.fd = has_side ? t->options.side_fd : -1, .events = POLLIN}};
                int64_t left = until - now_msec();
                int n = poll(fds, 2, left < 0 ? 0 : (int)left);

                if (n < 0 && errno != EINTR)
                        return err_set_errno(&t->err, errno, "wait for the TPM");
                if (n == 0 && left <= 0)
                        return 0;
                if (n <= 0)
                        continue;
                /* The side first: the engine cannot answer before it has been served. */
                if (has_side && fds[1].revents != 0 && serve_side(t) != 0)
                        return t->err.code;
                if (fds[0].revents != 0)
                        return 1;
        }
}

static int64_t deadline_of(const struct tcti_fd *t)
{
        int msec = t->options.timeout_msec;

        return now_msec() + (msec > 0 ? msec : TPM_FD_TIMEOUT_MSEC);
}

static TSS2_RC fail(struct tcti_fd *t)
{
        t->broken = true;
        t->waiting = false;
        return TSS2_TCTI_RC_IO_ERROR;
}

static TSS2_RC refuse_broken(struct tcti_fd *t)
{
        if (t->err.code == 0)
                (void)err_set(&t->err, ERR_IO, "the channel to the TPM broke earlier");
        return TSS2_TCTI_RC_IO_ERROR;
}

static TSS2_RC fail_timeout(struct tcti_fd *t)
{
        (void)err_set(&t->err, ERR_TIMEOUT, "the TPM did not answer in time");
        return fail(t);
}

static TSS2_RC transmit(TSS2_TCTI_CONTEXT *tcti, size_t size, const uint8_t *command)
{
        struct tcti_fd *t = from_tcti(tcti);
        size_t sent = 0;

        if (command == NULL)
                return TSS2_TCTI_RC_BAD_REFERENCE;
        if (t->broken)
                return refuse_broken(t);
        if (t->waiting)
                return TSS2_TCTI_RC_BAD_SEQUENCE;
        t->err.code = 0;
        t->deadline = deadline_of(t);
        while (sent < size) {
                ssize_t n =
                    send(t->options.fd, command + sent, size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
                int ready;

                if (n >= 0) {
                        sent += (size_t)n;
                        continue;
                }
                if (errno != EAGAIN && errno != EINTR) {
                        (void)err_set_errno(&t->err, errno, "send to the TPM");
                        return fail(t);
                }
                ready = wait_ready(t, POLLOUT, t->deadline);
                if (ready < 0)
                        return fail(t);
                if (ready == 0)
                        return fail_timeout(t);
        }
        t->waiting = true;
        t->got = 0;
        return TSS2_RC_SUCCESS;
}

/* Bytes the response has in all as far as is known, the header first; 0 for an illegal size. */
static size_t response_size(const struct tcti_fd *t)
{
        struct reader r = reader_from(t->response, t->got);
        uint32_t size;

        if (t->got < TCTI_HEADER_SIZE)
                return TCTI_HEADER_SIZE;
        if (reader_skip(&r, 2) != 0 || reader_get_be32(&r, &size) != 0 || size < TCTI_HEADER_SIZE ||
            size > sizeof(t->response))
                return 0;
        return size;
}

/* 1 when more bytes came, 0 when none are there yet, or an error. */
static int receive_some(struct tcti_fd *t, size_t size)
{
        ssize_t n = recv(t->options.fd, t->response + t->got, size - t->got, MSG_DONTWAIT);

        if (n > 0) {
                t->got += (size_t)n;
                return 1;
        }
        if (n == 0)
                return err_set(&t->err, ERR_UNREACHABLE, "the TPM closed the channel");
        if (errno == EAGAIN || errno == EINTR)
                return 0;
        return err_set_errno(&t->err, errno, "receive from the TPM");
}

/* Collects the whole response; TRY_AGAIN keeps what came and may be repeated. */
static TSS2_RC collect(struct tcti_fd *t, int64_t until)
{
        for (;;) {
                size_t size = response_size(t);
                int rc;

                if (size == 0) {
                        (void)err_set(&t->err, ERR_MALFORMED, "the TPM's response has no size");
                        return fail(t);
                }
                if (t->got >= TCTI_HEADER_SIZE && t->got == size)
                        return TSS2_RC_SUCCESS;
                rc = wait_ready(t, POLLIN, until < t->deadline ? until : t->deadline);
                if (rc == 0)
                        return now_msec() < t->deadline ? TSS2_TCTI_RC_TRY_AGAIN : fail_timeout(t);
                if (rc < 0 || receive_some(t, size) < 0)
                        return fail(t);
        }
}

static TSS2_RC receive(TSS2_TCTI_CONTEXT *tcti, size_t *size, uint8_t *response, int32_t timeout)
{
        struct tcti_fd *t = from_tcti(tcti);
        size_t room;
        TSS2_RC rc;

        if (size == NULL)
                return TSS2_TCTI_RC_BAD_REFERENCE;
        if (t->broken)
                return refuse_broken(t);
        if (!t->waiting)
                return TSS2_TCTI_RC_BAD_SEQUENCE;
        rc = collect(t, timeout < 0 ? INT64_MAX : now_msec() + timeout);
        if (rc != TSS2_RC_SUCCESS)
                return rc;
        room = *size;
        *size = t->got;
        if (response == NULL)
                return TSS2_RC_SUCCESS;
        if (room < t->got)
                return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
        memcpy(response, t->response, t->got);
        explicit_bzero(t->response, t->got);
        t->waiting = false;
        return TSS2_RC_SUCCESS;
}

static TSS2_RC refuse_cancel(TSS2_TCTI_CONTEXT *tcti)
{
        (void)tcti;
        return TSS2_TCTI_RC_NOT_IMPLEMENTED;
}

static TSS2_RC refuse_locality(TSS2_TCTI_CONTEXT *tcti, uint8_t locality)
{
        (void)tcti;
        return locality == 0 ? TSS2_RC_SUCCESS : TSS2_TCTI_RC_NOT_IMPLEMENTED;
}

int tcti_fd_new(const struct tpm_fd_options *options, TSS2_TCTI_CONTEXT **ret_tcti, struct err *err)
{
        struct tcti_fd *t = calloc(1, sizeof(*t));

        if (t == NULL)
                return err_set(err, ERR_NO_MEMORY, "no memory for a TPM channel");
        t->options = *options;
        t->common.v1 = (TSS2_TCTI_CONTEXT_COMMON_V1){
            .magic = TCTI_FD_MAGIC,
            .version = TCTI_FD_VERSION,
            .transmit = transmit,
            .receive = receive,
            .cancel = refuse_cancel,
            .setLocality = refuse_locality,
        };
        *ret_tcti = (TSS2_TCTI_CONTEXT *)(void *)t;
        return 0;
}

void tcti_fd_free(TSS2_TCTI_CONTEXT *tcti)
{
        struct tcti_fd *t = from_tcti(tcti);

        if (t != NULL)
                explicit_bzero(t, sizeof(*t));
        free(t);
}

const struct err *tcti_fd_error(const TSS2_TCTI_CONTEXT *tcti)
{
        return &((const struct tcti_fd *)(const void *)tcti)->err;
}
