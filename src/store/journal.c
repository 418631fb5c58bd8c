#include "store/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "base/macro.h"
#include "base/writer.h"

#define ZEROS_LEN (64U << 10)

struct journal {
        int fd;
        size_t at;   /* of the next record */
        size_t used; /* nothing was written from here on */
        struct writer writer;
        uint8_t *memory; /* of a record, at the boundary of a block */
};

/* One system call, and the data are on stable storage when it returns. */
static int write_durably(int fd, const void *data, size_t len, size_t at, struct err *err)
{
        const struct iovec iov = {(void *)(uintptr_t)data, len};
        ssize_t n;

        do
                n = pwritev2(fd, &iov, 1, (off_t)at, RWF_DSYNC);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return err_set_errno(err, errno, "write the journal of saves");
        if ((size_t)n != len)
                return err_set(err, ERR_IO, "journal of saves: short write");
        return 0;
}

static int write_zeros(int fd, size_t len, struct err *err)
{
        static const _Alignas(JOURNAL_BLOCK) uint8_t zeros[ZEROS_LEN];
        int rc = 0;

        for (size_t at = 0; at < len && rc == 0; at += ZEROS_LEN)
                rc = write_durably(fd, zeros, len - at < ZEROS_LEN ? len - at : ZEROS_LEN, at, err);
        return rc;
}

static int path_of(const char *path, char ret_path[PATH_MAX], struct err *err)
{
        if (snprintf(ret_path, PATH_MAX, "%s" JOURNAL_SUFFIX, path) >= PATH_MAX)
                return err_set(err, ERR_LIMIT, "path too long");
        return 0;
}

static bool is_blank(const uint8_t *data, size_t len)
{
        for (size_t i = 0; i < len; i++)
                if (data[i] != 0)
                        return false;
        return true;
}

static int check_blank(const char *name, struct err *err)
{
        uint8_t AUTO_FREE *data = NULL;
        size_t len = 0;
        int rc = fs_read_file(name, JOURNAL_LEN, &data, &len, err);

        if (rc == ERR_NOT_FOUND)
                return 0;
        if (rc == 0 && !is_blank(data, len))
                return err_set(err, ERR_DAMAGED, "%s has saves in it, but its database is missing",
                               name);
        return rc;
}

int journal_create(const char *path, struct err *err)
{
        char name[PATH_MAX];
        int AUTO_FD fd = -1;

        if (path_of(path, name, err) != 0 || check_blank(name, err) != 0)
                return err->code;
        fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return err_set_errno(err, errno, "create %s", name);
        if (write_zeros(fd, JOURNAL_LEN, err) != 0)
                return err_wrap(err, "%s", name);
        /* Its size and name, too. */
        if (fsync(fd) < 0)
                return err_set_errno(err, errno, "fsync %s", name);
        return 0;
}

/* Past the page cache where the file system can, since nothing is ever read back. */
static int open_file(const char *name, struct err *err)
{
        const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
        struct stat st;
        int AUTO_FD fd = open(name, flags | O_DIRECT);

        if (fd < 0 && errno == EINVAL)
                fd = open(name, flags);
        if (fd < 0 && errno == ENOENT) {
                (void)err_set(err, ERR_DAMAGED, "%s is missing", name);
                return err_hint(err, "the newest writes of the guests' TPMs were in it: restore "
                                     "the whole directory, not the database alone");
        }
        if (fd < 0 || fstat(fd, &st) < 0)
                return err_set_errno(err, errno, "open %s", name);
        if (!S_ISREG(st.st_mode) || st.st_size != (off_t)JOURNAL_LEN)
                return err_set(err, ERR_DAMAGED, "%s is not a file of %u bytes", name, JOURNAL_LEN);
        return TAKE_FD(fd);
}

int journal_open(const char *path, struct journal **ret_journal, struct err *err)
{
        char name[PATH_MAX];
        struct journal *journal;
        void *memory = NULL;
        int fd;

        if (path_of(path, name, err) != 0)
                return err->code;
        fd = open_file(name, err);
        if (fd < 0)
                return fd;
        journal = calloc(1, sizeof(*journal));
        if (journal == NULL || posix_memalign(&memory, JOURNAL_BLOCK, JOURNAL_RECORD_MAX) != 0) {
                free(journal);
                fd_close(&fd);
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        }
        journal->fd = fd;
        journal->memory = memory;
        journal->used = JOURNAL_LEN; /* for all we know */
        *ret_journal = journal;
        return 0;
}

void journal_close(struct journal *journal)
{
        if (journal == NULL)
                return;
        fd_close(&journal->fd);
        free(journal->memory);
        free(journal);
}

int journal_read(const struct journal *journal, uint8_t **ret_data, struct err *err)
{
        void *memory = NULL;
        ssize_t n;

        if (posix_memalign(&memory, JOURNAL_BLOCK, JOURNAL_LEN) != 0)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        n = pread(journal->fd, memory, JOURNAL_LEN, 0);
        if (n != (ssize_t)JOURNAL_LEN) {
                free(memory);
                return n < 0 ? err_set_errno(err, errno, "read the journal of saves")
                             : err_set(err, ERR_IO, "journal of saves: short read");
        }
        *ret_data = memory;
        return 0;
}

void journal_seek(struct journal *journal, size_t offset)
{
        journal->at = offset;
}

struct writer *journal_writer(struct journal *journal)
{
        const size_t room = JOURNAL_LEN - journal->at;

        writer_init_fixed(&journal->writer, journal->memory,
                          room < JOURNAL_RECORD_MAX ? room : JOURNAL_RECORD_MAX);
        return &journal->writer;
}

int journal_append(struct journal *journal, struct err *err)
{
        const struct bytes record = writer_bytes(&journal->writer);
        const size_t len = (record.len + JOURNAL_BLOCK - 1) / JOURNAL_BLOCK * JOURNAL_BLOCK;
        int rc;

        memset(journal->memory + record.len, 0, len - record.len);
        rc = write_durably(journal->fd, journal->memory, len, journal->at, err);
        if (journal->used < journal->at + len)
                journal->used = journal->at + len;
        if (rc == 0)
                journal->at += len;
        return rc;
}

int journal_scrub(struct journal *journal, struct err *err)
{
        int rc = write_zeros(journal->fd, journal->used, err);

        if (rc == 0)
                journal->used = 0;
        return rc;
}

bool journal_is_half_full(const struct journal *journal)
{
        return journal->at > JOURNAL_LEN / 2;
}
