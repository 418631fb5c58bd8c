#include "tcb/socket-path.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/local-socket.h"

#define BACKLOG 4

/* Commas end an option of QEMU's, and a path with quotes or spaces is pasted wrong. */
#define PATH_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@:%="

static bool is_canonical(const char *path)
{
        size_t len = strlen(path);

        if (path[0] != '/' || len < 2 || path[len - 1] == '/')
                return false;
        for (const char *at = path; at != NULL; at = strchr(at + 1, '/')) {
                size_t part = strcspn(at + 1, "/");

                if (part == 0 || (part == 1 && at[1] == '.') ||
                    (part == 2 && at[1] == '.' && at[2] == '.'))
                        return false;
        }
        return true;
}

int socket_path_check(const struct socket_path *socket, struct err *err)
{
        if (!is_canonical(socket->path))
                return err_set(err, ERR_USAGE, "socket %s: the path must be absolute and plain",
                               socket->path);
        if (socket->path[strspn(socket->path, PATH_CHARACTERS)] != '\0')
                return err_set(err, ERR_USAGE,
                               "socket %s: letters, digits and / . _ - + @ : %% = only",
                               socket->path);
        if (socket->mode != 0600 && socket->mode != 0660)
                return err_set(err, ERR_USAGE, "socket mode %04o: 0600 or 0660",
                               (unsigned)socket->mode);
        return 0;
}

static const char *name_of(const struct socket_path *socket)
{
        return strrchr(socket->path, '/') + 1;
}

bool socket_path_is_in(const struct socket_path *socket, const char *dirs)
{
        for (dirs += strspn(dirs, " "); *dirs != '\0'; dirs += strspn(dirs, " ")) {
                const size_t word = strcspn(dirs, " ");
                size_t len = word;

                while (len > 0 && dirs[len - 1] == '/')
                        len--;
                if (dirs[0] == '/' && strncmp(socket->path, dirs, len) == 0 &&
                    socket->path[len] == '/')
                        return true;
                dirs += word;
        }
        return false;
}

static bool is_trusted(const struct stat *st, uid_t owner)
{
        bool others_write = (st->st_mode & (S_IWGRP | S_IWOTH)) != 0;

        if (st->st_uid != 0 && st->st_uid != geteuid() && st->st_uid != owner)
                return false;
        return !others_write || (st->st_mode & S_ISVTX) != 0;
}

static int open_plainly(const char *path, struct stat *ret_st)
{
        const struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                                     .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
        int AUTO_FD fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

        if (fd < 0 || fstat(fd, ret_st) < 0)
                return -1;
        return TAKE_FD(fd);
}

static int refuse_directory(const char *path, const char *dir, int errnum, struct err *err)
{
        int rc = err_set_errno(err, errnum, "socket %s: open %s", path, dir);

        if (errnum == ENOENT)
                return err_hint(err, "make that directory first");
        return errnum == ELOOP ? err_hint(err, "give the path without symbolic links") : rc;
}

/*
 * The directory that it lies in, when nobody else can put another one in its place: each one above
 * is looked at, and no link is followed, since whoever owns one of them decides where it leads.
 */
static int open_directory(const struct socket_path *socket, int *ret_fd, struct err *err)
{
        const size_t len = (size_t)(name_of(socket) - socket->path);
        char dir[SOCKET_PATH_MAX + 1];
        int AUTO_FD fd = -1;
        struct stat st;

        for (size_t end = 1; end <= len; end++) {
                if (socket->path[end - 1] != '/')
                        continue;
                memcpy(dir, socket->path, end);
                dir[end] = '\0';
                fd_close(&fd);
                fd = open_plainly(dir, &st);
                if (fd < 0)
                        return refuse_directory(socket->path, dir, errno, err);
                if (!is_trusted(&st, socket->uid))
                        return err_set(err, ERR_NOT_PERMITTED,
                                       "socket %s: users other than root and its owner can "
                                       "replace what is in %s",
                                       socket->path, dir);
        }
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* A socket that its program left behind when it died is removed, anything else is not. */
static int clear_place(const struct socket_path *socket_path, int dir, struct err *err)
{
        const struct sockaddr_un address = local_socket_address(dir, name_of(socket_path));
        int AUTO_FD probe = -1;
        struct stat st;

        if (fstatat(dir, name_of(socket_path), &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : err_set_errno(err, errno, "%s", socket_path->path);
        probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (probe < 0)
                return err_set_errno(err, errno, "make a socket");
        if (!S_ISSOCK(st.st_mode))
                return err_set(err, ERR_CONFLICT, "%s exists and is no socket", socket_path->path);
        if (st.st_uid != 0 && st.st_uid != geteuid() && st.st_uid != socket_path->uid)
                return err_set(err, ERR_CONFLICT, "%s is another user's socket", socket_path->path);
        if (connect(probe, (const struct sockaddr *)&address, sizeof(address)) == 0 ||
            errno != ECONNREFUSED)
                return err_set(err, ERR_CONFLICT, "another program listens at %s",
                               socket_path->path);
        if (unlinkat(dir, name_of(socket_path), 0) < 0 && errno != ENOENT)
                return err_set_errno(err, errno, "remove %s", socket_path->path);
        return 0;
}

static int listen_in(const struct socket_path *socket_path, struct socket_place *place, int *ret_fd,
                     struct err *err)
{
        const struct local_socket_rights rights = {socket_path->uid, socket_path->gid,
                                                   socket_path->mode};
        const char *name = name_of(socket_path);
        int AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int rc;

        if (fd < 0)
                return err_set_errno(err, errno, "listen at %s", socket_path->path);
        rc = local_socket_bind(fd, place->dir, name, &rights, &place->made, err);
        if (rc == ERR_NOT_PERMITTED && socket_path->uid != geteuid())
                rc = err_hint(err, "only a trusted core that runs as root can give it away");
        if (rc != 0)
                return err_wrap(err, "listen at %s", socket_path->path);
        if (listen(fd, BACKLOG) < 0) {
                local_socket_remove(place->dir, name, &place->made);
                return err_set_errno(err, errno, "listen at %s", socket_path->path);
        }
        *ret_fd = TAKE_FD(fd);
        return 0;
}

int socket_path_listen(const struct socket_path *socket, struct socket_place *ret_place,
                       int *ret_fd, struct err *err)
{
        struct socket_place place = {.dir = -1};
        int rc = socket_path_check(socket, err);

        if (rc == 0 && strlen(name_of(socket)) > LOCAL_SOCKET_NAME_MAX)
                rc = err_set(err, ERR_USAGE, "socket %s: name too long", socket->path);
        if (rc == 0)
                rc = open_directory(socket, &place.dir, err);
        if (rc == 0)
                rc = clear_place(socket, place.dir, err);
        if (rc == 0)
                rc = listen_in(socket, &place, ret_fd, err);
        if (rc != 0) {
                fd_close(&place.dir);
                return rc;
        }
        *ret_place = place;
        return 0;
}

int socket_path_find(const struct socket_path *socket, struct socket_place *ret_place,
                     struct err *err)
{
        struct socket_place place = {.dir = -1};
        int AUTO_FD dir = -1;
        struct stat st;
        int rc = open_directory(socket, &dir, err);

        if (rc != 0)
                return rc;
        if (fstatat(dir, name_of(socket), &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISSOCK(st.st_mode))
                return err_set(err, ERR_NOT_FOUND, "socket %s is gone", socket->path);
        place.dir = TAKE_FD(dir);
        place.made = st;
        *ret_place = place;
        return 0;
}

void socket_path_remove(const struct socket_path *socket, struct socket_place *place)
{
        local_socket_remove(place->dir, name_of(socket), &place->made);
        fd_close(&place->dir);
}
