/*
 * One end of a connection that carries frames of one protocol: a unix stream or packet socket, or
 * a plain descriptor such as a virtio port. Works on blocking and on non-blocking descriptors.
 *
 * Frame: be32 payload length, be16 code, be16 flags, be32 id, payload. On a packet socket a frame
 * is one packet. The first frame each side sends is the hello (code 0) with the protocol's version
 * and name; the link sends and checks it by itself, and whoever speaks anything else is cut off.
 * Where the protocol renews, a later hello begins anew: what was queued for the old peer is
 * dropped, and the new one is greeted with the next frame.
 */
#ifndef WIRE_LINK_H
#define WIRE_LINK_H

#include <stdbool.h>

#include "base/fd.h"
#include "wire/message.h"

#define WIRE_HEADER_SIZE 12
#define WIRE_MORE        1 /* flag: more answers to the same request follow */
#define WIRE_AGAIN       1 /* returned by wire_link_receive(): nothing whole has arrived yet */
#define WIRE_QUEUE_MAX   (16U << 20) /* unsent bytes after which a peer is given up */

struct wire_frame {
        const struct wire_message *message;
        uint16_t flags;
        uint32_t id;          /* chosen by the requester, repeated in the answer */
        struct bytes payload; /* valid until the next receive */
        int fds[FD_PASS_MAX]; /* message->n_fds of them; the receiver takes or closes them */
};

struct wire_link;

/* Takes fd (also on failure). self is our own role; only the other role's messages come in. */
int wire_link_new(int fd, const struct wire_protocol *protocol, enum wire_role self,
                  struct wire_link **ret_link, struct err *err) MUST_CHECK;

/*
 * The link takes over a packet socket on which another process spoke with the peer: the hellos are
 * behind it. Frames that were meant for that process may come in first.
 */
void wire_link_resume(struct wire_link *link);

/*
 * The link takes over a stream on which another process spoke with the peer, of a protocol that
 * renews: whatever comes before the peer's next hello is dropped, be it half a frame. Before the
 * first receive. We greet twice, so that the peer greets again also if nobody greeted it before.
 */
void wire_link_resync(struct wire_link *link);

/* Closes the descriptor; NULL is allowed. */
void wire_link_free(struct wire_link *link);
DEFINE_CLEANUP(struct wire_link *, wire_link_free)
#define AUTO_LINK CLEANUP(wire_link_free_p)

/*
 * A packet of so many bytes will come in: its memory is made ready now. For a link that nothing
 * has come in on yet.
 */
int wire_link_expect(struct wire_link *link, size_t size, struct err *err) MUST_CHECK;

/* The descriptor to poll; the link keeps it. */
int wire_link_fd(const struct wire_link *link);

/*
 * The next frame: 0 and *ret_frame, or WIRE_AGAIN on a non-blocking descriptor.
 * ERR_UNREACHABLE: the peer closed. ERR_MALFORMED: it broke the protocol. The link is of no use
 * after either.
 */
int wire_link_receive(struct wire_link *link, struct wire_frame *ret_frame,
                      struct err *err) MUST_CHECK;

/*
 * Gives the receive buffer back until the next frame: the last one's payload is gone. A link that
 * answered WIRE_AGAIN has done so by itself.
 */
void wire_link_rest(struct wire_link *link);

/* Decodes a frame's payload into the struct of its message; see wire_decode(). */
int wire_frame_decode(const struct wire_frame *frame, void *ret_message, size_t ret_size,
                      struct err *err) MUST_CHECK;

/* Closes the descriptors that came with a frame and were not taken (set to -1). */
void wire_frame_close_fds(struct wire_frame *frame);

/*
 * Sends a message with its descriptors (message's n_fds of them; they stay the caller's, but on a
 * non-blocking link they are duplicated until sent). What the descriptor does not take at once is
 * queued. ERR_LIMIT: more than WIRE_QUEUE_MAX bytes wait, the peer does not read.
 */
int wire_link_send(struct wire_link *link, uint16_t code, uint32_t id, uint16_t flags,
                   const void *message, const int *fds, struct err *err) MUST_CHECK;

/* Passes a received frame on as it is, to a link of the same protocol: for relays. */
int wire_link_forward(struct wire_link *link, const struct wire_frame *frame,
                      struct err *err) MUST_CHECK;

/* True while queued output waits for the descriptor to become writable; then call flush. */
bool wire_link_has_output(const struct wire_link *link);
int wire_link_flush(struct wire_link *link, struct err *err) MUST_CHECK;

#endif
