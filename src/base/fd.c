#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void fd_close(int *fd)
{
        int saved = errno;

        if (*fd >= 0)
                (void)close(*fd);
        *fd = -1;
        errno = saved;
}

int fd_write_all(int fd, const void *data, size_t n, struct err *err)
{
        const char *p = data;

        while (n > 0) {
                ssize_t k = write(fd, p, n);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return err_set_errno(err, errno, "write");
                p += k;
                n -= (size_t)k;
        }
        return 0;
}

int fd_read_exact(int fd, void *data, size_t n, struct err *err)
{
        char *p = data;
        size_t left = n;

        while (left > 0) {
                ssize_t k = read(fd, p, left);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return err_set_errno(err, errno, "read");
                if (k == 0 && left == n)
                        return err_set(err, ERR_UNREACHABLE, "the other side closed");
                if (k == 0)
                        return err_set(err, ERR_IO, "the other side closed in mid-message");
                p += k;
                left -= (size_t)k;
        }
        return 0;
}

int fd_set_nonblocking(int fd, struct err *err)
{
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
                return err_set_errno(err, errno, "make descriptor non-blocking");
        return 0;
}

int fd_socketpair(int type, int ret_pair[2], struct err *err)
{
        int pair[2];

        if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) < 0)
                return err_set_errno(err, errno, "make socket pair");
        ret_pair[0] = pair[0];
        ret_pair[1] = pair[1];
        return 0;
}

union control {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * FD_PASS_MAX)];
};

ssize_t fd_send(int sock, const void *data, size_t n, const int *fds, size_t n_fds)
{
        struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = n};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
        union control control;
        ssize_t k;

        if (n_fds > FD_PASS_MAX)
                return -EINVAL;
        if (n_fds > 0) {
                memset(&control, 0, sizeof(control));
                msg.msg_control = control.space;
                msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
                control.header.cmsg_level = SOL_SOCKET;
                control.header.cmsg_type = SCM_RIGHTS;
                control.header.cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
                memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * n_fds);
        }
        do
                k = sendmsg(sock, &msg, MSG_NOSIGNAL);
        while (k < 0 && errno == EINTR);
        return k < 0 ? -errno : k;
}

/* Collects the passed descriptors; returns false when the kernel had to drop some. */
static bool take_fds(struct msghdr *msg, int *fds, size_t *n_fds)
{
        bool whole = (msg->msg_flags & MSG_CTRUNC) == 0;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
                size_t n;

                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                for (size_t i = 0; i < n; i++) {
                        int fd;

                        memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
                        if (*n_fds < FD_PASS_MAX)
                                fds[(*n_fds)++] = fd;
                        else {
                                whole = false;
                                fd_close(&fd);
                        }
                }
        }
        return whole;
}

ssize_t fd_receive(int sock, void *data, size_t n, int *ret_fds, size_t *ret_n_fds)
{
        struct iovec iov = {.iov_base = data, .iov_len = n};
        union control control;
        struct msghdr msg = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = sizeof(control.space)};
        size_t n_fds = 0;
        bool reset = false;
        ssize_t k;

        for (;;) {
                k = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
                if (k >= 0)
                        break;
                /* Told once, before what the peer said before it closed. */
                if (errno == ECONNRESET && !reset)
                        reset = true;
                else if (errno != EINTR)
                        return -errno;
        }
        if (!take_fds(&msg, ret_fds, &n_fds) || (msg.msg_flags & MSG_TRUNC) != 0) {
                for (size_t i = 0; i < n_fds; i++)
                        fd_close(&ret_fds[i]);
                return -EMSGSIZE;
        }
        *ret_n_fds = n_fds;
        return k;
}

int fd_close_all_but(int keep_below, const int *keep, size_t n_keep, struct err *err)
{
        unsigned from = (unsigned)keep_below;

        /* keep need not be sorted: find the next kept descriptor at or above from each time. */
        for (;;) {
                unsigned next = ~0U;

                for (size_t i = 0; i < n_keep; i++)
                        if (keep[i] >= 0 && (unsigned)keep[i] >= from && (unsigned)keep[i] < next)
                                next = (unsigned)keep[i];
                if (next != from && close_range(from, next - (next != ~0U), 0) < 0)
                        return err_set_errno(err, errno, "close inherited descriptors");
                if (next == ~0U)
                        return 0;
                from = next + 1;
        }
}
