/*
 * File descriptors: scope clean-up, whole reads and writes, and passing over unix sockets.
 * Descriptors are -1 when there is none and always close-on-exec.
 */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

/* Closes *fd if it is not negative and sets it to -1; errno is kept. */
void fd_close(int *fd);
#define AUTO_FD CLEANUP(fd_close)

#define TAKE_FD(fd)                                                                                \
        ({                                                                                         \
                int take_fd_ = (fd);                                                               \
                (fd) = -1;                                                                         \
                take_fd_;                                                                          \
        })

/* Writes all n bytes, through short writes and EINTR. Blocking descriptors only. */
int fd_write_all(int fd, const void *data, size_t n, struct err *err) MUST_CHECK;

/* Reads exactly n bytes; a clean end before the first byte is ERR_UNREACHABLE, later ERR_IO. */
int fd_read_exact(int fd, void *data, size_t n, struct err *err) MUST_CHECK;

/* Makes reads and writes of a descriptor return EAGAIN instead of waiting. */
int fd_set_nonblocking(int fd, struct err *err) MUST_CHECK;

/* A connected pair of unix sockets of this type (SOCK_STREAM, SOCK_SEQPACKET), close-on-exec. */
int fd_socketpair(int type, int ret_pair[2], struct err *err) MUST_CHECK;

#define FD_PASS_MAX 8 /* descriptors in one message */

/*
 * One sendmsg()/recvmsg() with descriptors. fd_send() returns the bytes sent, or -errno.
 * fd_receive() fills ret_fds (room for FD_PASS_MAX) and *ret_n_fds, returns the bytes received,
 * 0 at the end, or -errno; a truncated control message is -EMSGSIZE, with every descriptor closed.
 */
ssize_t fd_send(int sock, const void *data, size_t n, const int *fds, size_t n_fds);
ssize_t fd_receive(int sock, void *data, size_t n, int *ret_fds, size_t *ret_n_fds);

/* Closes every open descriptor above keep_below except those listed. For use after fork(). */
int fd_close_all_but(int keep_below, const int *keep, size_t n_keep, struct err *err) MUST_CHECK;

#endif
