#include "swtpm/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

#define BACKLOG 8

static int open_socket(const char *path, struct sockaddr_un *ret_address, int *ret_fd,
                       struct err *err)
{
        const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return err_set_errno(err, errno, "socket");
        memset(ret_address, 0, sizeof(*ret_address));
        ret_address->sun_family = AF_UNIX;
        memcpy(ret_address->sun_path, path, strlen(path));
        *ret_fd = fd;
        return 0;
}

int listen_connect(const char *path, int *ret_fd, struct err *err)
{
        struct sockaddr_un address;
        int AUTO_FD fd = -1;
        int rc = open_socket(path, &address, &fd, err);

        if (rc != 0)
                return rc;
        if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return err_set_errno(err, errno, "%s", path);
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* Makes way for our socket: a dead one of an earlier run goes. */
static int clear_path(const char *path, struct err *err)
{
        struct err ignored = {0};
        struct stat st;
        int AUTO_FD fd = -1;

        if (lstat(path, &st) < 0)
                return errno == ENOENT ? 0 : err_set_errno(err, errno, "%s", path);
        if (!S_ISSOCK(st.st_mode))
                return err_set(err, ERR_CONFLICT, "%s is there, and no socket", path);
        if (listen_connect(path, &fd, &ignored) == 0)
                return err_set(err, ERR_CONFLICT, "somebody listens at %s", path);
        return unlink(path) < 0 ? err_set_errno(err, errno, "%s", path) : 0;
}

static int give(const struct command_socket *options, const char *path, struct err *err)
{
        const uid_t uid = options->ctrl.uid < 0 ? (uid_t)-1 : (uid_t)options->ctrl.uid;
        const gid_t gid = options->ctrl.gid < 0 ? (gid_t)-1 : (gid_t)options->ctrl.gid;

        if (chmod(path, options->ctrl.mode) < 0)
                return err_set_errno(err, errno, "mode of %s", path);
        if ((options->ctrl.uid >= 0 || options->ctrl.gid >= 0) && lchown(path, uid, gid) < 0)
                return err_set_errno(err, errno, "owner of %s", path);
        return 0;
}

/* The directory of path. */
static int open_dir(const char *path, int *ret_fd, struct err *err)
{
        const char *slash = strrchr(path, '/');
        char dir[COMMAND_SOCKET_PATH_MAX + 1] = ".";

        if (slash != NULL) {
                /* "/x" has the directory "/". */
                const size_t len = slash == path ? 1 : (size_t)(slash - path);

                memcpy(dir, path, len);
                dir[len] = '\0';
        }
        *ret_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        return *ret_fd < 0 ? err_set_errno(err, errno, "%s", dir) : 0;
}

/* Nobody else's before it has its mode. */
static int bind_private(int fd, const struct sockaddr_un *address)
{
        const mode_t mask = umask(0077);
        const int rc = bind(fd, (const struct sockaddr *)address, sizeof(*address));

        (void)umask(mask);
        return rc;
}

/*
 * Listens under another name in the same directory first: who sees the socket at its path can
 * connect to it. Through the directory's descriptor any path that fits is short enough.
 */
static int listen_there(const struct command_socket *options, int *ret_fd, struct err *err)
{
        const char *path = options->ctrl.path;
        struct sockaddr_un address;
        char name[COMMAND_SOCKET_PATH_MAX + 1];
        int AUTO_FD dir = -1;
        int AUTO_FD fd = -1;
        int rc = open_dir(path, &dir, err);

        if (rc != 0)
                return rc;
        (void)snprintf(name, sizeof(name), "/proc/self/fd/%d/.catena-swtpm.%d", dir, (int)getpid());
        (void)unlink(name);
        rc = open_socket(name, &address, &fd, err);
        if (rc != 0)
                return rc;
        if (bind_private(fd, &address) < 0)
                return err_set_errno(err, errno, "%s", path);
        rc = give(options, name, err);
        if (rc == 0 && (listen(fd, BACKLOG) < 0 || rename(name, path) < 0))
                rc = err_set_errno(err, errno, "listen at %s", path);
        if (rc != 0) {
                (void)unlink(name);
                return rc;
        }
        *ret_fd = TAKE_FD(fd);
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

int listen_open(const struct command_socket *options, int *ret_fd, struct err *err)
{
        int rc;

        if (options->ctrl.fd < 0) {
                rc = clear_path(options->ctrl.path, err);
                return rc != 0 ? rc : listen_there(options, ret_fd, err);
        }
        rc = check_inherited(options->ctrl.fd, err);
        if (rc == 0)
                *ret_fd = options->ctrl.fd;
        return rc;
}
