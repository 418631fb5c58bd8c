#include "engine/stream.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "engine/pages.h"

void stream_set_up(struct stream *stream, struct stream_buffers *buffers)
{
        stream->in = buffers->in;
        stream->out = buffers->out;
        stream_init(stream, -1);
}

void stream_init(struct stream *stream, int fd)
{
        stream->fd = fd;
        stream->generation++;
        stream->in_len = 0;
        stream->out_len = 0;
        stream->out_sent = 0;
}

void stream_close(struct stream *stream)
{
        fd_close(&stream->fd);
        /* Commands and answers can carry authorisation values. */
        stream_init(stream, -1);
        stream_rest(stream);
}

void stream_rest(struct stream *stream)
{
        pages_wipe(stream->in + stream->in_len, STREAM_BUFFER_MAX - stream->in_len);
        if (!stream_has_output(stream))
                pages_wipe(stream->out, STREAM_BUFFER_MAX);
}

int stream_fill(struct stream *stream, int *ret_fds, size_t *ret_n_fds)
{
        uint8_t *at = stream->in + stream->in_len;
        size_t room = STREAM_BUFFER_MAX - stream->in_len;
        ssize_t k;

        if (ret_fds != NULL) {
                k = fd_receive(stream->fd, at, room, ret_fds, ret_n_fds);
        } else {
                k = recv(stream->fd, at, room, MSG_DONTWAIT);
                if (k < 0)
                        k = -errno;
        }
        if (k == -EAGAIN || k == -EINTR)
                return 0;
        if (k == -EMSGSIZE)
                return ERR_MALFORMED;
        if (k <= 0)
                return ERR_UNREACHABLE;
        stream->in_len += (size_t)k;
        return (int)k;
}

void stream_consume(struct stream *stream, size_t n)
{
        stream->in_len -= n;
        if (stream->in_len > 0)
                memmove(stream->in, stream->in + n, stream->in_len);
}

/* Bytes that went, 0 if none can go now, or ERR_IO. */
static ssize_t send_some(const struct stream *stream, const uint8_t *data, size_t len)
{
        ssize_t k = send(stream->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (k < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        return k < 0 ? ERR_IO : k;
}

int stream_send(struct stream *stream, struct bytes data)
{
        ssize_t sent = 0;
        size_t left;

        if (!stream_has_output(stream)) {
                stream->out_len = 0;
                stream->out_sent = 0;
                sent = send_some(stream, data.data, data.len);
        }
        if (sent < 0)
                return ERR_IO;
        left = data.len - (size_t)sent;
        if (left > STREAM_BUFFER_MAX - stream->out_len)
                return ERR_LIMIT;
        if (left > 0)
                memcpy(stream->out + stream->out_len, data.data + sent, left);
        stream->out_len += left;
        return 0;
}

int stream_flush(struct stream *stream)
{
        ssize_t sent =
            send_some(stream, stream->out + stream->out_sent, stream->out_len - stream->out_sent);

        if (sent < 0)
                return ERR_IO;
        stream->out_sent += (size_t)sent;
        return 0;
}
