#include "agent/port.h"

#include <dirent.h>
#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/fd.h"
#include "base/fs.h"

#define PORT_NAME_MAX       256
#define PORT_SYSFS          "/sys/class/virtio-ports"
#define PORT_DEV            "/dev"
#define UEVENT_GROUP_KERNEL 1 /* what the kernel itself sends */
#define UEVENT_MAX          8192

static void close_dir(DIR **dir)
{
        if (*dir != NULL)
                (void)closedir(*dir);
}

/* Whether <sysfs>/<entry>/name holds name and a newline. */
static bool has_name(const char *sysfs, const char *entry, const char *name)
{
        struct err err = {0};
        char path[PATH_MAX];
        uint8_t AUTO_FREE *data = NULL;
        size_t len = 0;

        if (snprintf(path, sizeof(path), "%s/%s/name", sysfs, entry) >= (int)sizeof(path) ||
            fs_read_file(path, PORT_NAME_MAX, &data, &len, &err) != 0)
                return false;
        if (len > 0 && data[len - 1] == '\n')
                len--;
        return len == strlen(name) && memcmp(data, name, len) == 0;
}

int port_find(const char *sysfs, const char *dev, const char *name, char *ret_path, size_t size,
              struct err *err)
{
        DIR CLEANUP(close_dir) *dir = opendir(sysfs);
        const struct dirent *entry;

        while (dir != NULL && (entry = readdir(dir)) != NULL)
                if (entry->d_name[0] != '.' && has_name(sysfs, entry->d_name, name))
                        return fs_join(ret_path, size, dev, entry->d_name, err);
        return err_set(err, ERR_NOT_FOUND, "no virtio port named %s", name);
}

int port_watch_open(int *ret_fd, struct err *err)
{
        struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = UEVENT_GROUP_KERNEL};
        int AUTO_FD fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);

        if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return err_set_errno(err, errno, "listen for devices");
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static int64_t now_msec(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Takes one announcement; what it says does not matter, that something changed does. */
static int take_event(int watch_fd, int64_t until, struct err *err)
{
        struct pollfd fd = {.fd = watch_fd, .events = POLLIN};
        int64_t left = until - now_msec();
        char event[UEVENT_MAX];
        int n = poll(&fd, 1, left < 0 ? 0 : (int)left);

        if (n < 0 && errno != EINTR)
                return err_set_errno(err, errno, "wait for devices");
        if (n == 0)
                return err_set(err, ERR_TIMEOUT, "it did not appear in time");
        /* ENOBUFS says that announcements were lost: then there is the more reason to look. */
        if (n > 0 && recv(watch_fd, event, sizeof(event), MSG_DONTWAIT) < 0 && errno != ENOBUFS &&
            errno != EAGAIN && errno != EINTR)
                return err_set_errno(err, errno, "wait for devices");
        return 0;
}

int port_wait(int watch_fd, const char *name, int timeout_msec, char *ret_path, size_t size,
              struct err *err)
{
        int64_t until = now_msec() + timeout_msec;

        for (;;) {
                int rc = port_find(PORT_SYSFS, PORT_DEV, name, ret_path, size, err);

                if (rc != ERR_NOT_FOUND)
                        return rc;
                if (take_event(watch_fd, until, err) != 0)
                        return err_wrap(err, "virtio port %s", name);
        }
}
