/*
 * Input: protocol and role, then what a peer sends, as a stream or as packets; all the way to the
 * decoders. A hello is put in front of every second input, else few would get beyond it.
 */
#include <string.h>
#include <sys/socket.h>

#include "wire/agent.h"
#include "wire/engine.h"
#include "wire/link.h"
#include "wire/ptpm.h"
#include "wire/tcb.h"

#define INPUT_MAX (64U << 10) /* what a socket takes at once */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int send_hello(int fd, const struct wire_protocol *protocol, struct err *err)
{
        uint8_t memory[64];
        struct writer w;

        writer_init_fixed(&w, memory, sizeof(memory));
        writer_put_be32(&w, (uint32_t)(4 + strlen(protocol->name)));
        writer_put_be32(&w, 0);
        writer_put_be32(&w, 0);
        writer_put_be16(&w, protocol->version);
        writer_put_tpm2b(&w, wire_text(protocol->name));
        return writer_check(&w) != 0 ? ERR_LIMIT : fd_write_all(fd, w.data, w.len, err);
}

static void receive_all(struct wire_link *link, struct err *err)
{
        for (;;) {
                _Alignas(max_align_t) uint8_t message[1024];
                struct wire_frame frame;

                if (wire_link_receive(link, &frame, err) != 0)
                        return;
                (void)!wire_frame_decode(&frame, message, frame.message->size, err);
                wire_frame_close_fds(&frame);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const struct wire_protocol *const protocols[] = {
            &wire_engine_protocol, &wire_agent_protocol, &wire_ptpm_protocol, &wire_tcb_protocol};
        struct wire_link AUTO_LINK *link = NULL;
        const struct wire_protocol *protocol;
        struct err err = {0};
        int pair[2];

        if (size < 2 || size > INPUT_MAX)
                return 0;
        protocol = protocols[data[0] % ARRAY_SIZE(protocols)];
        if (fd_socketpair((data[0] & 0x80) != 0 ? SOCK_SEQPACKET : SOCK_STREAM, pair, &err) != 0)
                return 0;
        if (wire_link_new(pair[1], protocol, (data[0] & 0x40) != 0 ? WIRE_CLIENT : WIRE_SERVER,
                          &link, &err) != 0 ||
            ((data[0] & 0x20) != 0 && send_hello(pair[0], protocol, &err) != 0) ||
            fd_write_all(pair[0], data + 1, size - 1, &err) != 0)
                err.code = ERR_IO;
        fd_close(&pair[0]);
        if (link != NULL && err.code != ERR_IO)
                receive_all(link, &err);
        return 0;
}
