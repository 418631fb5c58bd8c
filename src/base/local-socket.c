#include "base/local-socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"

struct sockaddr_un local_socket_address(int dir, const char *name)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        /* The names of descriptors are short, and the whole path fits. */
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%.80s", dir,
                       name);
        return address;
}

/*
 * Somebody may have put something else in its place meanwhile, to be given that: so what is given
 * is held, and is what was just made.
 */
int local_socket_give(int dir, const char *name, const struct local_socket_rights *rights,
                      struct stat *ret_made, struct err *err)
{
        int AUTO_FD fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;
        bool other;

        if (fd < 0 || fstat(fd, &st) < 0)
                return err_set_errno(err, errno, "open the socket");
        if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1)
                return err_set(err, ERR_CONFLICT, "the socket was replaced");
        other = (rights->uid != (uid_t)-1 && st.st_uid != rights->uid) ||
                (rights->gid != (gid_t)-1 && st.st_gid != rights->gid);
        if (other && fchownat(fd, "", rights->uid, rights->gid, AT_EMPTY_PATH) < 0)
                return err_set_errno(err, errno, "give the socket to user %d, group %d",
                                     (int)rights->uid, (int)rights->gid);
        *ret_made = st;
        return 0;
}

static int bind_with_mode(int fd, const struct sockaddr_un *address, mode_t mode)
{
        mode_t before = umask(0777 & ~mode);
        int rc = bind(fd, (const struct sockaddr *)address, sizeof(*address));

        (void)umask(before);
        return rc;
}

int local_socket_bind(int fd, int dir, const char *name, const struct local_socket_rights *rights,
                      struct stat *ret_made, struct err *err)
{
        const struct sockaddr_un address = local_socket_address(dir, name);
        int rc;

        if (bind_with_mode(fd, &address, rights->mode) < 0)
                return errno == EADDRINUSE ? err_set(err, ERR_CONFLICT, "the name is taken")
                                           : err_set_errno(err, errno, "bind");
        rc = local_socket_give(dir, name, rights, ret_made, err);
        if (rc != 0)
                (void)unlinkat(dir, name, 0);
        return rc;
}

void local_socket_remove(int dir, const char *name, const struct stat *made)
{
        struct stat st;

        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == made->st_dev &&
            st.st_ino == made->st_ino)
                (void)unlinkat(dir, name, 0);
}
