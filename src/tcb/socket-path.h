/*
 * Unix sockets at paths that an administrator chose, for programs of other users. The path must be
 * one that nobody else can take over: an absolute one without symbolic links, in a directory that
 * only root, this process or the socket's owner writes to, and so for all directories above it.
 * What lies there and is no dead socket is left alone.
 */
#ifndef TCB_SOCKET_PATH_H
#define TCB_SOCKET_PATH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/err.h"

#define SOCKET_PATH_MAX 107 /* bytes that sockaddr_un holds beside the NUL */

struct socket_path {
        char path[SOCKET_PATH_MAX + 1];
        uid_t uid;
        gid_t gid;
        mode_t mode; /* 0600, 0660 */
};

/* ERR_USAGE for a path that is not absolute, not canonical or cannot stand on a command line. */
int socket_path_check(const struct socket_path *socket, struct err *err) MUST_CHECK;

/*
 * Whether a path that socket_path_check() let through is in or beneath one of the directories,
 * which have blanks between them.
 */
bool socket_path_is_in(const struct socket_path *socket, const char *dirs);

/* Where a socket is, to remove that one later and nothing that came in its place. */
struct socket_place {
        int dir; /* its directory, held */
        struct stat made;
};

/*
 * Listens there, non-blocking, with owner and mode as asked. ERR_CONFLICT: somebody listens there
 * or a file has the name. ERR_NOT_PERMITTED: another user could replace the socket, or it cannot
 * be given to its owner.
 */
int socket_path_listen(const struct socket_path *socket, struct socket_place *ret_place,
                       int *ret_fd, struct err *err) MUST_CHECK;

/* The place of one that listens already, from before this process. ERR_NOT_FOUND: it is gone. */
int socket_path_find(const struct socket_path *socket, struct socket_place *ret_place,
                     struct err *err) MUST_CHECK;

/* Removes the socket if it is still the one that was made, and gives up the place. */
void socket_path_remove(const struct socket_path *socket, struct socket_place *place);

#endif
