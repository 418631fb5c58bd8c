#include "wire/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HELLO_CODE     0
#define HELLO_NAME_MAX 32
#define PACKET_MAX     (204U << 10) /* below the kernel's default limit for one packet */

enum link_kind { LINK_PLAIN, LINK_STREAM, LINK_PACKET };

/* One frame that waits, with its descriptors, to be sent. */
struct pending {
        struct pending *next;
        uint8_t *data;
        size_t len;
        size_t sent;
        int fds[FD_PASS_MAX];
        size_t n_fds;
};

struct wire_link {
        int fd;
        enum link_kind kind;
        const struct wire_protocol *protocol;
        enum wire_role self;
        bool hello_sent;
        bool hello_seen;
        bool resumed; /* a hello may still come that was meant for another process */
        bool resync;  /* nothing counts before the peer's hello */
        bool twice;   /* we greet twice: only a second hello has the peer greet again */

        uint8_t *in; /* header and payload of the frame that is arriving */
        size_t in_cap;
        size_t in_len;
        size_t in_high; /* most of it that was ever used */
        int in_fds[FD_PASS_MAX];
        size_t n_in_fds;

        struct pending *first;
        struct pending *last;
        size_t queued; /* bytes in the queue */
};

struct header {
        uint32_t length;
        uint16_t code;
        uint16_t flags;
        uint32_t id;
};

static enum link_kind kind_of(int fd)
{
        int type = 0;
        socklen_t size = sizeof(type);

        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
                return LINK_PLAIN;
        return type == SOCK_SEQPACKET ? LINK_PACKET : LINK_STREAM;
}

int wire_link_new(int fd, const struct wire_protocol *protocol, enum wire_role self,
                  struct wire_link **ret_link, struct err *err)
{
        int AUTO_FD owned = fd;
        struct wire_link *link = calloc(1, sizeof(*link));

        if (link == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        link->fd = TAKE_FD(owned);
        link->kind = kind_of(link->fd);
        link->protocol = protocol;
        link->self = self;
        *ret_link = link;
        return 0;
}

void wire_link_resume(struct wire_link *link)
{
        link->hello_seen = true;
        link->hello_sent = true;
        link->resumed = true;
}

void wire_link_resync(struct wire_link *link)
{
        link->resync = true;
        link->twice = true;
}

static void pending_free(struct pending *pending)
{
        for (size_t i = 0; i < pending->n_fds; i++)
                fd_close(&pending->fds[i]);
        explicit_bzero(pending->data, pending->len);
        free(pending->data);
        free(pending);
}

static void drop_in_fds(struct wire_link *link)
{
        for (size_t i = 0; i < link->n_in_fds; i++)
                fd_close(&link->in_fds[i]);
        link->n_in_fds = 0;
}

static void drop_output(struct wire_link *link)
{
        while (link->first != NULL) {
                struct pending *next = link->first->next;

                pending_free(link->first);
                link->first = next;
        }
        link->last = NULL;
        link->queued = 0;
}

/* A link at rest keeps no buffer; thousands of them may rest. */
static void release_input(struct wire_link *link)
{
        if (link->in != NULL)
                explicit_bzero(link->in, link->in_high);
        free(link->in);
        link->in = NULL;
        link->in_cap = 0;
        link->in_high = 0;
}

void wire_link_free(struct wire_link *link)
{
        if (link == NULL)
                return;
        drop_output(link);
        drop_in_fds(link);
        release_input(link);
        fd_close(&link->fd);
        free(link);
}

void wire_link_rest(struct wire_link *link)
{
        if (link->in_len == 0)
                release_input(link);
}

int wire_link_fd(const struct wire_link *link)
{
        return link->fd;
}

/* Receiving ------------------------------------------------------------------------------- */

static int reserve_input(struct wire_link *link, size_t size, struct err *err)
{
        uint8_t *in;

        if (size <= link->in_cap)
                return 0;
        in = realloc(link->in, size);
        if (in == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        link->in = in;
        link->in_cap = size;
        return 0;
}

int wire_link_expect(struct wire_link *link, size_t size, struct err *err)
{
        int rc = reserve_input(link, PACKET_MAX, err);

        if (rc == 0)
                memset(link->in, 0, size < PACKET_MAX ? size : PACKET_MAX);
        return rc;
}

/* Up to want bytes more into the buffer: 0, WIRE_AGAIN or an error. */
static int read_some(struct wire_link *link, size_t want, struct err *err)
{
        int fds[FD_PASS_MAX];
        size_t n_fds = 0;
        ssize_t k;

        if (link->kind == LINK_PLAIN) {
                do
                        k = read(link->fd, link->in + link->in_len, want);
                while (k < 0 && errno == EINTR);
                if (k < 0)
                        k = -errno;
        } else {
                k = fd_receive(link->fd, link->in + link->in_len, want, fds, &n_fds);
        }
        if (k == -EAGAIN)
                return WIRE_AGAIN;
        if (k == -EMSGSIZE)
                return err_set(err, ERR_MALFORMED, "%s: packet too large", link->protocol->name);
        if (k < 0)
                return err_set_errno(err, (int)-k, "%s: receive", link->protocol->name);
        if (k == 0 && link->in_len > 0)
                return err_set(err, ERR_UNREACHABLE, "%s: peer closed in mid-frame",
                               link->protocol->name);
        if (k == 0)
                return err_set(err, ERR_UNREACHABLE, "%s: peer closed", link->protocol->name);
        for (size_t i = 0; i < n_fds; i++) {
                if (link->n_in_fds < FD_PASS_MAX)
                        link->in_fds[link->n_in_fds++] = fds[i];
                else
                        fd_close(&fds[i]);
        }
        link->in_len += (size_t)k;
        if (link->in_high < link->in_len)
                link->in_high = link->in_len;
        return 0;
}

/* What this message can be at most: nobody makes us keep megabytes for a short request. */
static size_t payload_limit(const struct wire_link *link, uint16_t code)
{
        const struct wire_message *message = NULL;
        size_t max = 2 + 2 + HELLO_NAME_MAX;

        if (link->hello_seen && code != HELLO_CODE)
                message = wire_message_find(link->protocol, code);
        if (message != NULL)
                max = wire_message_payload_max(message);
        return max < link->protocol->payload_max ? max : link->protocol->payload_max;
}

static int parse_header(const struct wire_link *link, struct header *ret, struct err *err)
{
        struct reader r = reader_from(link->in, WIRE_HEADER_SIZE);
        struct header h = {0};

        if (reader_get_be32(&r, &h.length) != 0 || reader_get_be16(&r, &h.code) != 0 ||
            reader_get_be16(&r, &h.flags) != 0 || reader_get_be32(&r, &h.id) != 0)
                return err_set(err, ERR_MALFORMED, "%s: short header", link->protocol->name);
        if (h.length > payload_limit(link, h.code))
                return err_set(err, ERR_MALFORMED, "%s: frame of %u bytes", link->protocol->name,
                               h.length);
        if ((h.flags & ~WIRE_MORE) != 0)
                return err_set(err, ERR_MALFORMED, "%s: unknown flags 0x%x", link->protocol->name,
                               h.flags);
        *ret = h;
        return 0;
}

static void put_hello(const struct wire_link *link, struct writer *w)
{
        const struct bytes name = wire_text(link->protocol->name);

        writer_put_be32(w, (uint32_t)(4 + name.len));
        writer_put_be16(w, HELLO_CODE);
        writer_put_be16(w, 0);
        writer_put_be32(w, 0);
        writer_put_be16(w, link->protocol->version);
        writer_put_tpm2b(w, name);
}

/* Of what came in, the longest end that the hello could begin with. */
static size_t begun(const struct wire_link *link, struct bytes hello)
{
        for (size_t n = hello.len - 1; n > 0; n--)
                if (memcmp(link->in + hello.len - n, hello.data, n) == 0)
                        return n;
        return 0;
}

/* Never reads beyond the hello, which stays as the first frame: 0, WIRE_AGAIN or an error. */
static int skip_to_hello(struct wire_link *link, struct err *err)
{
        uint8_t memory[WIRE_HEADER_SIZE + 4 + HELLO_NAME_MAX];
        struct bytes hello;
        struct writer w;
        int rc;

        writer_init_fixed(&w, memory, sizeof(memory));
        put_hello(link, &w);
        hello = writer_bytes(&w);
        rc = reserve_input(link, hello.len, err);
        while (rc == 0) {
                size_t n;

                while (rc == 0 && link->in_len < hello.len)
                        rc = read_some(link, hello.len - link->in_len, err);
                if (rc != 0 || memcmp(link->in, hello.data, hello.len) == 0)
                        break;
                drop_in_fds(link);
                n = begun(link, hello);
                memmove(link->in, link->in + hello.len - n, n);
                link->in_len = n;
        }
        link->resync = rc != 0;
        return rc;
}

/* Brings in one whole frame: 0, WIRE_AGAIN or an error. */
static int fill(struct wire_link *link, struct header *ret, struct err *err)
{
        struct header h = {0};
        int rc;

        if (link->kind == LINK_PACKET) {
                rc = reserve_input(link, PACKET_MAX, err);
                if (rc == 0)
                        rc = read_some(link, PACKET_MAX, err);
                if (rc == WIRE_AGAIN)
                        release_input(link);
                if (rc != 0)
                        return rc;
                if (link->in_len < WIRE_HEADER_SIZE || parse_header(link, &h, err) != 0 ||
                    h.length != link->in_len - WIRE_HEADER_SIZE)
                        return err_set(err, ERR_MALFORMED, "%s: packet of a wrong length",
                                       link->protocol->name);
                *ret = h;
                return 0;
        }
        if (link->resync) {
                rc = skip_to_hello(link, err);
                if (rc != 0)
                        return rc;
        }
        while (link->in_len < WIRE_HEADER_SIZE) {
                rc = reserve_input(link, WIRE_HEADER_SIZE, err);
                if (rc == 0)
                        rc = read_some(link, WIRE_HEADER_SIZE - link->in_len, err);
                if (rc != 0)
                        return rc;
        }
        rc = parse_header(link, &h, err);
        if (rc == 0)
                rc = reserve_input(link, WIRE_HEADER_SIZE + h.length, err);
        while (rc == 0 && link->in_len < WIRE_HEADER_SIZE + h.length)
                rc = read_some(link, WIRE_HEADER_SIZE + h.length - link->in_len, err);
        if (rc == 0)
                *ret = h;
        return rc;
}

/* The new peer gets a hello of its own and nothing that was meant for the old one. */
static void greet_again(struct wire_link *link)
{
        drop_output(link);
        link->hello_sent = false;
}

static int check_hello(struct wire_link *link, const struct header *h, struct err *err)
{
        struct reader r = reader_from(link->in + WIRE_HEADER_SIZE, h->length);
        struct bytes name;
        uint16_t version;

        if (h->code != HELLO_CODE || h->flags != 0 || link->n_in_fds != 0 ||
            reader_get_be16(&r, &version) != 0 ||
            reader_get_tpm2b(&r, HELLO_NAME_MAX, &name) != 0 || reader_finish(&r) != 0 ||
            !bytes_equal(name, wire_text(link->protocol->name)))
                return err_set(err, ERR_MALFORMED, "peer does not speak %s", link->protocol->name);
        if (version != link->protocol->version)
                return err_set(err, ERR_UNSUPPORTED, "peer speaks %s version %u, we speak %u",
                               link->protocol->name, version, link->protocol->version);
        if (link->hello_seen && !link->resumed)
                greet_again(link);
        link->hello_seen = true;
        return 0;
}

static int accept_frame(struct wire_link *link, const struct header *h, struct wire_frame *ret,
                        struct err *err)
{
        const struct wire_message *message = wire_message_find(link->protocol, h->code);

        if (message == NULL || (message->sender & (WIRE_EITHER & ~link->self)) == 0)
                return err_set(err, ERR_MALFORMED, "%s: unexpected message %u",
                               link->protocol->name, h->code);
        if (link->n_in_fds != message->n_fds)
                return err_set(err, ERR_MALFORMED, "%s: %s with %zu descriptors instead of %u",
                               link->protocol->name, message->name, link->n_in_fds, message->n_fds);
        *ret = (struct wire_frame){.message = message,
                                   .flags = h->flags,
                                   .id = h->id,
                                   .payload = {link->in + WIRE_HEADER_SIZE, h->length}};
        for (size_t i = 0; i < FD_PASS_MAX; i++)
                ret->fds[i] = i < link->n_in_fds ? link->in_fds[i] : -1;
        link->n_in_fds = 0;
        return 0;
}

int wire_link_receive(struct wire_link *link, struct wire_frame *ret_frame, struct err *err)
{
        struct header h = {0};
        int rc;

        for (;;) {
                rc = fill(link, &h, err);
                if (rc != 0)
                        return rc;
                link->in_len = 0;
                if (link->hello_seen &&
                    !(h.code == HELLO_CODE && (link->protocol->renews || link->resumed)))
                        return accept_frame(link, &h, ret_frame, err);
                rc = check_hello(link, &h, err);
                if (rc != 0)
                        return rc;
        }
}

int wire_frame_decode(const struct wire_frame *frame, void *ret_message, size_t ret_size,
                      struct err *err)
{
        return wire_decode(frame->message, frame->payload, ret_message, ret_size, err);
}

void wire_frame_close_fds(struct wire_frame *frame)
{
        for (size_t i = 0; i < FD_PASS_MAX; i++)
                fd_close(&frame->fds[i]);
}

/* Sending --------------------------------------------------------------------------------- */

static void put_header(struct writer *w, uint16_t code, uint16_t flags, uint32_t id)
{
        writer_put_be32(w, 0);
        writer_put_be16(w, code);
        writer_put_be16(w, flags);
        writer_put_be32(w, id);
}

/* Takes the writer's memory; the descriptors are duplicated, since the caller closes its own. */
static int enqueue(struct wire_link *link, struct writer *w, const int *fds, size_t n_fds,
                   struct err *err)
{
        struct pending *pending;

        if (w->len - WIRE_HEADER_SIZE > link->protocol->payload_max ||
            (link->kind == LINK_PACKET && w->len > PACKET_MAX))
                return err_set(err, ERR_LIMIT, "%s: frame of %zu bytes", link->protocol->name,
                               w->len);
        writer_patch_be32(w, 0, (uint32_t)(w->len - WIRE_HEADER_SIZE));
        if (writer_check(w) != 0 || link->queued + w->len > WIRE_QUEUE_MAX)
                return err_set(err, ERR_LIMIT, "%s: peer does not read", link->protocol->name);
        pending = calloc(1, sizeof(*pending));
        if (pending == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        pending->data = writer_take(w, &pending->len);
        for (size_t i = 0; i < n_fds; i++) {
                pending->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
                if (pending->fds[i] < 0) {
                        int saved = errno;

                        pending_free(pending);
                        return err_set_errno(err, saved, "pass descriptor");
                }
                pending->n_fds++;
        }
        if (link->last == NULL)
                link->first = pending;
        else
                link->last->next = pending;
        link->last = pending;
        link->queued += pending->len;
        return 0;
}

static ssize_t write_pending(struct wire_link *link, const struct pending *pending)
{
        const uint8_t *data = pending->data + pending->sent;
        size_t left = pending->len - pending->sent;
        ssize_t k;

        if (link->kind != LINK_PLAIN)
                return fd_send(link->fd, data, left, pending->fds,
                               pending->sent == 0 ? pending->n_fds : 0);
        do
                k = write(link->fd, data, left);
        while (k < 0 && errno == EINTR);
        return k < 0 ? -errno : k;
}

int wire_link_flush(struct wire_link *link, struct err *err)
{
        while (link->first != NULL) {
                struct pending *pending = link->first;
                ssize_t k = write_pending(link, pending);

                if (k == -EAGAIN)
                        return 0;
                if (k < 0)
                        return err_set_errno(err, (int)-k, "%s: send", link->protocol->name);
                pending->sent += (size_t)k;
                link->queued -= (size_t)k;
                if (pending->sent < pending->len)
                        continue;
                link->first = pending->next;
                if (link->first == NULL)
                        link->last = NULL;
                pending_free(pending);
        }
        return 0;
}

bool wire_link_has_output(const struct wire_link *link)
{
        return link->first != NULL;
}

static int queue_one_hello(struct wire_link *link, struct err *err)
{
        struct writer AUTO_WRITER w = {0};

        writer_init(&w, WIRE_HEADER_SIZE + 4 + HELLO_NAME_MAX);
        put_hello(link, &w);
        return enqueue(link, &w, NULL, 0, err);
}

static int queue_hello(struct wire_link *link, struct err *err)
{
        int rc;

        if (link->hello_sent)
                return 0;
        rc = queue_one_hello(link, err);
        if (rc == 0 && link->twice)
                rc = queue_one_hello(link, err);
        if (rc != 0)
                return rc;
        link->twice = false;
        link->hello_sent = true;
        return 0;
}

int wire_link_send(struct wire_link *link, uint16_t code, uint32_t id, uint16_t flags,
                   const void *message, const int *fds, struct err *err)
{
        const struct wire_message *row = wire_message_find(link->protocol, code);
        struct writer AUTO_WRITER w = {0};

        if (row == NULL || (row->sender & link->self) == 0)
                abort(); /* we never send what we may not */
        writer_init(&w, WIRE_HEADER_SIZE + link->protocol->payload_max);
        put_header(&w, code, flags, id);
        if (wire_encode(row, message, &w, err) != 0 || queue_hello(link, err) != 0 ||
            enqueue(link, &w, fds, row->n_fds, err) != 0)
                return err->code;
        return wire_link_flush(link, err);
}

int wire_link_forward(struct wire_link *link, const struct wire_frame *frame, struct err *err)
{
        struct writer AUTO_WRITER w = {0};

        writer_init(&w, WIRE_HEADER_SIZE + link->protocol->payload_max);
        put_header(&w, frame->message->code, frame->flags, frame->id);
        writer_put_bytes(&w, frame->payload);
        if (queue_hello(link, err) != 0 ||
            enqueue(link, &w, frame->fds, frame->message->n_fds, err) != 0)
                return err->code;
        return wire_link_flush(link, err);
}
