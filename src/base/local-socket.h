/*
 * Unix sockets in a directory that the caller holds, made so that whoever else may write there can
 * neither have another file given away or changed in the socket's place, nor have one removed.
 */
#ifndef BASE_LOCAL_SOCKET_H
#define BASE_LOCAL_SOCKET_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/err.h"

#define LOCAL_SOCKET_NAME_MAX 80 /* of a name in its directory */

struct local_socket_rights {
        uid_t uid; /* (uid_t)-1: as made */
        gid_t gid; /* (gid_t)-1: as made */
        mode_t mode;
};

/* A short address for bind(2) and connect(2) that no rename of a directory leads elsewhere. */
struct sockaddr_un local_socket_address(int dir, const char *name);

/*
 * Binds the socket fd to a new name in the directory dir. It has its mode from its first moment,
 * and what gets an owner is the very socket. Errors: ERR_CONFLICT when the name is taken, or when
 * something else took the place of what was made; those of errno. Then nothing of ours stays.
 * *ret_made is for local_socket_remove().
 */
int local_socket_bind(int fd, int dir, const char *name, const struct local_socket_rights *rights,
                      struct stat *ret_made, struct err *err) MUST_CHECK;

/* The second half of it, for tests: gives what lies there if it can be what was just made. */
int local_socket_give(int dir, const char *name, const struct local_socket_rights *rights,
                      struct stat *ret_made, struct err *err) MUST_CHECK;

/* Removes the name if the socket that was made still has it. */
void local_socket_remove(int dir, const char *name, const struct stat *made);

#endif
