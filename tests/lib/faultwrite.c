#include "lib/faultwrite.h"

#include <errno.h>
#include <stddef.h>
#include <sys/types.h>

static struct {
        enum faultwrite_kind kind;
        unsigned left; /* 0: not armed */
        bool stays;
        bool full; /* a short write has happened: the next one finds no room at all */
        bool struck;
} fault;

void faultwrite_arm(enum faultwrite_kind kind, unsigned nth, bool stays)
{
        fault.kind = kind;
        fault.left = nth;
        fault.stays = stays;
        fault.full = fault.struck = false;
}

bool faultwrite_heal(void)
{
        fault.left = 0;
        fault.full = false;
        return fault.struck;
}

static bool strikes(void)
{
        if (fault.left == 0 || (--fault.left > 0))
                return false;
        fault.left = fault.stays ? 1 : 0;
        fault.struck = true;
        return true;
}

static int fail(void)
{
        errno = fault.kind == FAULTWRITE_EIO ? EIO : ENOSPC;
        return -1;
}

/* Bytes to write, of which some may go: 0 for none. */
static size_t allowed(size_t n)
{
        if (fault.full) {
                fault.full = fault.stays;
                return 0;
        }
        if (!strikes())
                return n;
        if (fault.kind != FAULTWRITE_SHORT)
                return 0;
        fault.full = true;
        return n / 2;
}

ssize_t __real_write(int fd, const void *data, size_t n);
ssize_t __wrap_write(int fd, const void *data, size_t n);
ssize_t __real_pwrite64(int fd, const void *data, size_t n, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t n, off_t at);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);

/* What a test prints is not counted. */
ssize_t __wrap_write(int fd, const void *data, size_t n)
{
        const size_t k = fd <= 2 ? n : allowed(n);

        return k == 0 && n > 0 ? fail() : __real_write(fd, data, k);
}

ssize_t __wrap_pwrite64(int fd, const void *data, size_t n, off_t at)
{
        const size_t k = allowed(n);

        return k == 0 && n > 0 ? fail() : __real_pwrite64(fd, data, k, at);
}

int __wrap_fsync(int fd)
{
        return strikes() ? fail() : __real_fsync(fd);
}

int __wrap_fdatasync(int fd)
{
        return strikes() ? fail() : __real_fdatasync(fd);
}

int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
        return strikes() ? fail() : __real_renameat(from_dir, from, to_dir, to);
}
