#include "lib/faultvfs.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include <sqlite3.h>

struct fault_file {
        sqlite3_file base;
        sqlite3_file *real; /* in the memory behind this struct */
};

static struct {
        bool armed, stays, struck;
        enum fault_kind kind;
        unsigned left;
} fault;

static sqlite3_vfs *real_vfs;

static sqlite3_file *real(sqlite3_file *file)
{
        return ((struct fault_file *)file)->real;
}

static bool strikes(void)
{
        if (!fault.armed)
                return false;
        if (fault.left > 0) {
                fault.left--;
                return false;
        }
        fault.struck = true;
        if (!fault.stays)
                fault.armed = false;
        return true;
}

static int fault_close(sqlite3_file *file)
{
        return real(file)->pMethods->xClose(real(file));
}

static int fault_read(sqlite3_file *file, void *data, int n, sqlite3_int64 at)
{
        return real(file)->pMethods->xRead(real(file), data, n, at);
}

static int fault_write(sqlite3_file *file, const void *data, int n, sqlite3_int64 at)
{
        if (!strikes())
                return real(file)->pMethods->xWrite(real(file), data, n, at);
        if (fault.kind == FAULT_EIO)
                return SQLITE_IOERR_WRITE;
        if (fault.kind == FAULT_SHORT && n > 1)
                (void)real(file)->pMethods->xWrite(real(file), data, n / 2, at);
        return SQLITE_FULL;
}

static int fault_truncate(sqlite3_file *file, sqlite3_int64 size)
{
        if (strikes())
                return SQLITE_IOERR_TRUNCATE;
        return real(file)->pMethods->xTruncate(real(file), size);
}

static int fault_sync(sqlite3_file *file, int flags)
{
        if (strikes())
                return SQLITE_IOERR_FSYNC;
        return real(file)->pMethods->xSync(real(file), flags);
}

static int fault_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
        return real(file)->pMethods->xFileSize(real(file), ret_size);
}

static int fault_lock(sqlite3_file *file, int level)
{
        return real(file)->pMethods->xLock(real(file), level);
}

static int fault_unlock(sqlite3_file *file, int level)
{
        return real(file)->pMethods->xUnlock(real(file), level);
}

static int fault_check_lock(sqlite3_file *file, int *ret_locked)
{
        return real(file)->pMethods->xCheckReservedLock(real(file), ret_locked);
}

static int fault_control(sqlite3_file *file, int op, void *argument)
{
        return real(file)->pMethods->xFileControl(real(file), op, argument);
}

static int fault_sector(sqlite3_file *file)
{
        return real(file)->pMethods->xSectorSize(real(file));
}

static int fault_features(sqlite3_file *file)
{
        return real(file)->pMethods->xDeviceCharacteristics(real(file));
}

/* Version 1, without shared memory: the store's log index is in the process anyway. */
static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = fault_close,
    .xRead = fault_read,
    .xWrite = fault_write,
    .xTruncate = fault_truncate,
    .xSync = fault_sync,
    .xFileSize = fault_size,
    .xLock = fault_lock,
    .xUnlock = fault_unlock,
    .xCheckReservedLock = fault_check_lock,
    .xFileControl = fault_control,
    .xSectorSize = fault_sector,
    .xDeviceCharacteristics = fault_features,
};

static int fault_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                      int *ret_flags)
{
        struct fault_file *f = (struct fault_file *)file;
        int rc;

        (void)vfs;
        f->real = (sqlite3_file *)(void *)(f + 1);
        rc = real_vfs->xOpen(real_vfs, name, f->real, flags, ret_flags);
        f->base.pMethods = rc == SQLITE_OK ? &methods : NULL;
        return rc;
}

int faultvfs_register(void)
{
        static sqlite3_vfs vfs;

        real_vfs = sqlite3_vfs_find(NULL);
        vfs = *real_vfs;
        vfs.zName = FAULTVFS_NAME;
        vfs.pNext = NULL;
        vfs.szOsFile = (int)sizeof(struct fault_file) + real_vfs->szOsFile;
        vfs.xOpen = fault_open;
        return sqlite3_vfs_register(&vfs, 0);
}

void faultvfs_arm(enum fault_kind kind, unsigned nth, bool stays)
{
        fault.armed = true;
        fault.stays = stays;
        fault.struck = false;
        fault.kind = kind;
        fault.left = nth;
}

void faultvfs_heal(void)
{
        fault.armed = false;
}

bool faultvfs_has_struck(void)
{
        return fault.struck;
}

/* The journal's only way to the disk; the linker turns pwritev2() of large files into this name. */
ssize_t __real_pwritev64v2(int fd, const struct iovec *iov, int n, off_t at, int flags);
ssize_t __wrap_pwritev64v2(int fd, const struct iovec *iov, int n, off_t at, int flags);

ssize_t __wrap_pwritev64v2(int fd, const struct iovec *iov, int n, off_t at, int flags)
{
        struct iovec half = iov[0];

        if (!strikes())
                return __real_pwritev64v2(fd, iov, n, at, flags);
        errno = fault.kind == FAULT_EIO ? EIO : ENOSPC;
        if (fault.kind != FAULT_SHORT)
                return -1;
        /* Whole blocks, since the file is open past the page cache. */
        half.iov_len = half.iov_len / 2 / 4096 * 4096;
        return half.iov_len == 0 ? -1 : __real_pwritev64v2(fd, &half, 1, at, flags);
}
