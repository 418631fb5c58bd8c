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
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

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

static bool is_trusted(const struct stat *st, uid_t owner)
{
        bool others_write = (st->st_mode & (S_IWGRP | S_IWOTH)) != 0;

        if (st->st_uid != 0 && st->st_uid != geteuid() && st->st_uid != owner)
                return false;
        return !others_write || (st->st_mode & S_ISVTX) != 0;
}

static int open_directory(const struct socket_path *socket, int *ret_fd, struct err *err)
{
        const struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                                     .resolve = RESOLVE_NO_MAGICLINKS};
        char dir[SOCKET_PATH_MAX + 1];
        size_t len = (size_t)(name_of(socket) - socket->path);
        int AUTO_FD fd = -1;
        struct stat st;

        memcpy(dir, socket->path, len);
        dir[len] = '\0';
        fd = (int)syscall(SYS_openat2, AT_FDCWD, dir, &how, sizeof(how));
        if (fd < 0 || fstat(fd, &st) < 0)
                return err_set_errno(err, errno, "socket %s: open its directory", socket->path);
        if (!is_trusted(&st, socket->uid))
                return err_set(err, ERR_NOT_PERMITTED,
                               "socket %s: users other than root and its owner can replace it",
                               socket->path);
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* A short name for bind(2) and connect(2) that no rename of a directory can lead elsewhere. */
static struct sockaddr_un address_of(const struct socket_path *socket, int dir)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        /* The names of descriptors are short, and the whole path fits. */
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%.80s", dir,
                       name_of(socket));
        return address;
}

/* A socket that its program left behind when it died is removed, anything else is not. */
static int clear_place(const struct socket_path *socket_path, int dir, struct err *err)
{
        const struct sockaddr_un address = address_of(socket_path, dir);
        int AUTO_FD probe = -1;
        struct stat st;

        if (fstatat(dir, name_of(socket_path), &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : err_set_errno(err, errno, "%s", socket_path->path);
        probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (probe < 0)
                return err_set_errno(err, errno, "make a socket");
        if (!S_ISSOCK(st.st_mode))
                return err_set(err, ERR_CONFLICT, "%s exists and is no socket", socket_path->path);
        if (connect(probe, (const struct sockaddr *)&address, sizeof(address)) == 0 ||
            errno != ECONNREFUSED)
                return err_set(err, ERR_CONFLICT, "another program listens at %s",
                               socket_path->path);
        if (unlinkat(dir, name_of(socket_path), 0) < 0 && errno != ENOENT)
                return err_set_errno(err, errno, "remove %s", socket_path->path);
        return 0;
}

static int give_away(const struct socket_path *socket, int dir, struct err *err)
{
        const char *name = name_of(socket);
        struct stat st;

        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            (st.st_uid != socket->uid || st.st_gid != socket->gid) &&
            fchownat(dir, name, socket->uid, socket->gid, AT_SYMLINK_NOFOLLOW) < 0) {
                (void)err_set_errno(err, errno, "give %s to user %u", socket->path,
                                    (unsigned)socket->uid);
                return err_hint(err, "only a trusted core that runs as root can give it away");
        }
        if (socket->mode != 0600 && fchmodat(dir, name, socket->mode, 0) < 0)
                return err_set_errno(err, errno, "mode of %s", socket->path);
        return 0;
}

static int bind_quietly(int fd, const struct sockaddr_un *address)
{
        mode_t before = umask(0177);
        int rc = bind(fd, (const struct sockaddr *)address, sizeof(*address));

        (void)umask(before);
        return rc;
}

int socket_path_listen(const struct socket_path *socket_path, int *ret_fd, struct err *err)
{
        struct sockaddr_un address;
        int AUTO_FD dir = -1;
        int AUTO_FD fd = -1;
        int rc = socket_path_check(socket_path, err);

        if (rc == 0 && strlen(name_of(socket_path)) > 80)
                rc = err_set(err, ERR_USAGE, "socket %s: name too long", socket_path->path);
        if (rc == 0)
                rc = open_directory(socket_path, &dir, err);
        if (rc == 0)
                rc = clear_place(socket_path, dir, err);
        if (rc != 0)
                return rc;
        address = address_of(socket_path, dir);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || bind_quietly(fd, &address) < 0 || listen(fd, BACKLOG) < 0)
                return err_set_errno(err, errno, "listen at %s", socket_path->path);
        rc = give_away(socket_path, dir, err);
        if (rc != 0) {
                (void)unlinkat(dir, name_of(socket_path), 0);
                return rc;
        }
        *ret_fd = TAKE_FD(fd);
        return 0;
}

void socket_path_remove(const struct socket_path *socket)
{
        struct stat st;

        if (lstat(socket->path, &st) == 0 && S_ISSOCK(st.st_mode))
                (void)unlink(socket->path);
}
