/*
 * Input: packets of the TCB's, each be16 length, u8 number of descriptors, bytes; all the way to
 * what is kept. The hello and the request for the list are put in front unless the first byte says
 * otherwise.
 */
#include <fcntl.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "supervisor/serve.h"
#include "wire/link.h"

#define PACKETS_MAX 32
#define FDS_MAX     16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void send_packets(int fd, struct reader *r)
{
        for (int i = 0; i < PACKETS_MAX; i++) {
                struct bytes packet;
                int fds[FD_PASS_MAX];
                uint16_t len;
                uint8_t n;

                if (reader_get_be16(r, &len) != 0 || reader_get_u8(r, &n) != 0 ||
                    reader_get_bytes(r, len, &packet) != 0 || len == 0)
                        return;
                n %= FD_PASS_MAX;
                for (size_t k = 0; k < n; k++)
                        fds[k] = fd;
                if (fd_send(fd, packet.data, packet.len, fds, n) < 0)
                        return;
        }
}

static int greet(int fd, struct err *err)
{
        const struct supervisor_list list = {0};
        struct wire_link *link;
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        int rc = wire_link_new(copy, &wire_supervisor_protocol, WIRE_CLIENT, &link, err);

        if (rc != 0)
                return rc;
        rc = wire_link_send(link, supervisor_list_code, 0, 0, &list, NULL, err);
        wire_link_free(link);
        return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct serve_keep keep = {.program = open("/dev/null", O_RDONLY | O_CLOEXEC)};
        struct reader r = reader_from(data, size);
        struct serve *serve = NULL;
        struct err err = {0};
        uint8_t how = 0;
        int pair[2];

        if (reader_get_u8(&r, &how) != 0 || keep_new(FDS_MAX, &keep.keep, &err) != 0 ||
            fd_socketpair(SOCK_SEQPACKET, pair, &err) != 0) {
                keep_free(keep.keep);
                fd_close(&keep.program);
                return 0;
        }
        if (fd_set_nonblocking(pair[1], &err) == 0 &&
            serve_new(pair[0], &keep, &serve, &err) == 0 &&
            ((how & 1) != 0 || greet(pair[1], &err) == 0)) {
                send_packets(pair[1], &r);
                for (int i = 0; i < PACKETS_MAX; i++)
                        if (serve_process(serve, &err) < 0)
                                break;
                if (keep_count_fds(keep.keep) > FDS_MAX)
                        __builtin_trap();
        }
        fd_close(&pair[1]);
        serve_free(serve);
        keep_free(keep.keep);
        secret_free(keep.key);
        fd_close(&keep.program);
        return 0;
}
