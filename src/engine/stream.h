/*
 * One byte stream to QEMU with its input and output buffers. Nothing here ever blocks: what a slow
 * peer does not take waits, and while it waits the owner reads nothing more from that peer.
 */
#ifndef ENGINE_STREAM_H
#define ENGINE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/reader.h"

#define STREAM_BUFFER_MAX 8192 /* above the largest message of both channels */

/* The bytes are elsewhere, so that what is written at each turn is in one page of both streams. */
struct stream_buffers {
        uint8_t in[STREAM_BUFFER_MAX];
        uint8_t out[STREAM_BUFFER_MAX];
};

struct stream {
        int fd;              /* -1: none */
        uint32_t generation; /* changes whenever fd becomes another channel */
        size_t in_len;
        size_t out_len;
        size_t out_sent;
        uint8_t *in;
        uint8_t *out;
};

/* Before anything else; the buffers are the caller's and live as long as the stream. */
void stream_set_up(struct stream *stream, struct stream_buffers *buffers);

/* Takes fd, which may be -1. */
void stream_init(struct stream *stream, int fd);
void stream_close(struct stream *stream);

/*
 * Reads what is there, once. Positive: bytes read; WOULD_BLOCK values: 0. ERR_UNREACHABLE: closed;
 * ERR_MALFORMED: descriptors that do not fit. ret_fds as for fd_receive(), or NULL to have none.
 */
int stream_fill(struct stream *stream, int *ret_fds, size_t *ret_n_fds) MUST_CHECK;

/* Wipes what was read and sent already. */
void stream_rest(struct stream *stream);

/* Drops the first n bytes of input. */
void stream_consume(struct stream *stream, size_t n);

/* Sends, or keeps what does not go now. ERR_LIMIT: no room; ERR_IO: the peer is gone. */
int stream_send(struct stream *stream, struct bytes data) MUST_CHECK;
int stream_flush(struct stream *stream) MUST_CHECK;

static inline bool stream_has_output(const struct stream *stream)
{
        return stream->out_sent < stream->out_len;
}

#endif
