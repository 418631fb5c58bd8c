#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

int fs_read_fd(int fd, size_t max, uint8_t **ret_data, size_t *ret_len, struct err *err)
{
        size_t cap = 16384;
        size_t len = 0;
        uint8_t AUTO_FREE *data = malloc(cap + 1);

        if (data == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        for (;;) {
                ssize_t k;

                if (len == cap) {
                        uint8_t *more = realloc(data, cap * 2 + 1);

                        if (more == NULL)
                                return err_set(err, ERR_NO_MEMORY, "out of memory");
                        data = more;
                        cap *= 2;
                }
                k = read(fd, data + len, cap - len);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return err_set_errno(err, errno, "read");
                if (k == 0)
                        break;
                len += (size_t)k;
                if (len > max)
                        return err_set(err, ERR_LIMIT, "larger than %zu bytes", max);
        }
        data[len] = '\0';
        *ret_data = TAKE(data);
        *ret_len = len;
        return 0;
}

int fs_read_file_at(int at, const char *path, size_t max, uint8_t **ret_data, size_t *ret_len,
                    struct err *err)
{
        int AUTO_FD fd = openat(at, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

        if (fd < 0)
                return err_set_errno(err, errno, "open %s", path);
        if (fs_read_fd(fd, max, ret_data, ret_len, err) != 0)
                return err_wrap(err, "%s", path);
        return 0;
}

int fs_read_file(const char *path, size_t max, uint8_t **ret_data, size_t *ret_len, struct err *err)
{
        return fs_read_file_at(AT_FDCWD, path, max, ret_data, ret_len, err);
}

int fs_read_plain_file_at(int at, const char *name, size_t max, uint8_t **ret_data, size_t *ret_len,
                          struct err *err)
{
        int AUTO_FD fd =
            openat(at, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK);
        struct stat st;

        if (fd < 0 && errno == ELOOP)
                return err_set(err, ERR_MALFORMED, "%s is a symbolic link", name);
        if (fd < 0 || fstat(fd, &st) < 0)
                return err_set_errno(err, errno, "open %s", name);
        if (!S_ISREG(st.st_mode))
                return err_set(err, ERR_MALFORMED, "%s is no regular file", name);
        if (fs_read_fd(fd, max, ret_data, ret_len, err) != 0)
                return err_wrap(err, "%s", name);
        return 0;
}

static int write_temporary(int at, const char *temporary, const void *data, size_t len, mode_t mode,
                           struct err *err)
{
        int AUTO_FD fd =
            openat(at, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);

        if (fd < 0)
                return err_set_errno(err, errno, "create %s", temporary);
        if (fd_write_all(fd, data, len, err) != 0)
                return err_wrap(err, "%s", temporary);
        if (fsync(fd) < 0)
                return err_set_errno(err, errno, "fsync %s", temporary);
        return 0;
}

static int sync_dir(int at, const char *path, struct err *err)
{
        int AUTO_FD fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0 || fsync(fd) < 0)
                return err_set_errno(err, errno, "fsync directory %s", path);
        return 0;
}

int fs_write_file_at(int at, const char *name, const void *data, size_t len, mode_t mode,
                     struct err *err)
{
        char temporary[PATH_MAX];
        char dir[PATH_MAX];
        const char *slash = strrchr(name, '/');
        size_t dir_len = slash == NULL ? 0 : (size_t)(slash - name);

        if (strlen(name) + sizeof(".new") > sizeof(temporary))
                return err_set(err, ERR_LIMIT, "path too long");
        (void)snprintf(temporary, sizeof(temporary), "%s.new", name);
        (void)snprintf(dir, sizeof(dir), "%.*s", (int)dir_len, name);
        if (dir_len == 0)
                (void)snprintf(dir, sizeof(dir), "%s", slash == NULL ? "." : "/");
        if (write_temporary(at, temporary, data, len, mode, err) != 0) {
                (void)unlinkat(at, temporary, 0);
                return err_wrap(err, "write %s", name);
        }
        if (renameat(at, temporary, at, name) < 0) {
                int saved = errno;

                (void)unlinkat(at, temporary, 0);
                return err_set_errno(err, saved, "rename to %s", name);
        }
        return sync_dir(at, dir, err);
}

int fs_write_file(const char *path, const void *data, size_t len, mode_t mode, struct err *err)
{
        return fs_write_file_at(AT_FDCWD, path, data, len, mode, err);
}

int fs_make_dir(const char *path, mode_t mode, struct err *err)
{
        char part[PATH_MAX];
        size_t len = strlen(path);

        if (len == 0 || len >= sizeof(part))
                return err_set(err, ERR_LIMIT, "directory name of %zu bytes", len);
        for (size_t i = 1; i <= len; i++) {
                if (path[i] != '/' && path[i] != '\0')
                        continue;
                (void)snprintf(part, sizeof(part), "%.*s", (int)i, path);
                if (mkdir(part, mode) < 0 && errno != EEXIST)
                        return err_set_errno(err, errno, "make directory %s", part);
        }
        return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
        (void)st;
        (void)flag;
        (void)ftw;
        return remove(path);
}

int fs_remove_tree(const char *path, struct err *err)
{
        if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
                return err_set_errno(err, errno, "remove %s", path);
        return 0;
}

int fs_join(char *ret_path, size_t size, const char *dir, const char *name, struct err *err)
{
        int n = snprintf(ret_path, size, "%s/%s", dir, name);

        if (n < 0 || (size_t)n >= size)
                return err_set(err, ERR_LIMIT, "path too long: %s/…", dir);
        return 0;
}
