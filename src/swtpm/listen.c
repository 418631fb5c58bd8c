#include "swtpm/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/local-socket.h"

#define BACKLOG 8

int listen_connect(const char *path, int *ret_fd, struct err *err)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return err_set_errno(err, errno, "socket");
        memcpy(address.sun_path, path, strlen(path));
        if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return err_set_errno(err, errno, "%s", path);
        *ret_fd = TAKE_FD(fd);
        return 0;
}

int listen_open_dir(const char *path, int *ret_fd, struct err *err)
{
        const char *slash = strrchr(path, '/');
        char dir[PATH_MAX] = ".";

        if (slash != NULL) {
                /* "/x" has the directory "/". */
                const size_t len = slash == path ? 1 : (size_t)(slash - path);

                memcpy(dir, path, len);
                dir[len] = '\0';
        }
        *ret_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        return *ret_fd < 0 ? err_set_errno(err, errno, "%s", dir) : 0;
}

static const char *name_of(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash == NULL ? path : slash + 1;
}

/* Makes way for our socket: a dead one of an earlier run goes. */
static int clear_place(const char *path, int dir, struct err *err)
{
        const struct sockaddr_un address = local_socket_address(dir, name_of(path));
        int AUTO_FD fd = -1;
        struct stat st;

        if (fstatat(dir, name_of(path), &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : err_set_errno(err, errno, "%s", path);
        if (!S_ISSOCK(st.st_mode))
                return err_set(err, ERR_CONFLICT, "%s is there, and no socket", path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return err_set_errno(err, errno, "socket");
        if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
                return err_set(err, ERR_CONFLICT, "somebody listens at %s", path);
        return unlinkat(dir, name_of(path), 0) < 0 ? err_set_errno(err, errno, "%s", path) : 0;
}

/*
 * Listens under another name in the same directory first: who sees the socket at its path can
 * connect to it.
 */
static int listen_in(const struct command_socket *options, int dir, struct listener *ret_listener,
                     struct err *err)
{
        const struct local_socket_rights rights = {(uid_t)options->ctrl.uid,
                                                   (gid_t)options->ctrl.gid, options->ctrl.mode};
        struct stat made;
        char name[64];
        int AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int rc;

        if (fd < 0)
                return err_set_errno(err, errno, "socket");
        (void)snprintf(name, sizeof(name), ".catena-swtpm.%d", (int)getpid());
        (void)unlinkat(dir, name, 0);
        rc = local_socket_bind(fd, dir, name, &rights, &made, err);
        if (rc != 0)
                return err_wrap(err, "%s", options->ctrl.path);
        if (listen(fd, BACKLOG) < 0 || renameat(dir, name, dir, name_of(options->ctrl.path)) < 0) {
                rc = err_set_errno(err, errno, "listen at %s", options->ctrl.path);
                local_socket_remove(dir, name, &made);
                return rc;
        }
        *ret_listener = (struct listener){TAKE_FD(fd), dir, made};
        return 0;
}

static int check_inherited(int fd, struct err *err)
{
        int listening = 0;
        socklen_t size = sizeof(listening);

        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || listening == 0)
                return err_set(err, ERR_USAGE, "--ctrl fd=%d does not listen", fd);
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
                return err_set_errno(err, errno, "--ctrl fd=%d", fd);
        return 0;
}

int listen_open(const struct command_socket *options, struct listener *ret_listener,
                struct err *err)
{
        int AUTO_FD dir = -1;
        int rc;

        if (options->ctrl.fd >= 0) {
                rc = check_inherited(options->ctrl.fd, err);
                if (rc == 0)
                        *ret_listener = (struct listener){.fd = options->ctrl.fd, .dir = -1};
                return rc;
        }
        rc = listen_open_dir(options->ctrl.path, &dir, err);
        if (rc == 0 && strlen(name_of(options->ctrl.path)) > LOCAL_SOCKET_NAME_MAX)
                rc = err_set(err, ERR_USAGE, "%s: name too long", options->ctrl.path);
        if (rc == 0)
                rc = clear_place(options->ctrl.path, dir, err);
        if (rc == 0)
                rc = listen_in(options, dir, ret_listener, err);
        if (rc == 0)
                dir = -1;
        return rc;
}

void listen_close(struct listener *listener, const struct command_socket *options)
{
        if (listener->dir >= 0)
                local_socket_remove(listener->dir, name_of(options->ctrl.path), &listener->made);
        fd_close(&listener->dir);
        fd_close(&listener->fd);
}
