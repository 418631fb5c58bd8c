#include "swtpm/theirs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "swtpm/state-file.h"
#include "tpmwire/swtpm-state.h"

#define LOCK_NAME      ".lock"
#define SUSPENDED_NAME "tpm2-00.volatilestate"

/* A lock file of ours could be one that swtpm may not open: none is made. */
static int take_lock(int dir, const char *path, int *ret_lock, struct err *err)
{
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int AUTO_FD fd = openat(dir, LOCK_NAME, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

        if (fd < 0 && errno == ENOENT)
                return 0;
        if (fd < 0)
                return err_set_errno(err, errno, "%s/" LOCK_NAME, path);
        if (fcntl(fd, F_OFD_SETLK, &lock) == 0) {
                *ret_lock = TAKE_FD(fd);
                return 0;
        }
        if (errno != EAGAIN && errno != EACCES)
                return err_set_errno(err, errno, "lock %s/" LOCK_NAME, path);
        (void)err_set(err, ERR_CONFLICT, "swtpm uses %s", path);
        return err_hint(err, "shut the VM down first");
}

static int check_owner(int dir, const char *path, struct err *err)
{
        struct stat st;

        if (fstat(dir, &st) < 0)
                return err_set_errno(err, errno, "look at %s", path);
        if (geteuid() != 0 || st.st_uid == 0)
                return 0;
        (void)err_set(err, ERR_NOT_PERMITTED,
                      "%s belongs to user %u, who could not use a state of root's", path,
                      st.st_uid);
        return err_hint(err, "run this as that user: runuser -u USER -- ...");
}

int theirs_claim(const char *path, struct theirs *ret_theirs, struct err *err)
{
        struct theirs theirs = {-1, -1};
        int rc;

        theirs.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (theirs.dir < 0)
                return err_set_errno(err, errno, "open %s", path);
        rc = check_owner(theirs.dir, path, err);
        if (rc == 0)
                rc = take_lock(theirs.dir, path, &theirs.lock, err);
        if (rc != 0) {
                theirs_done(&theirs);
                return rc;
        }
        *ret_theirs = theirs;
        return 0;
}

void theirs_done(struct theirs *theirs)
{
        fd_close(&theirs->lock);
        fd_close(&theirs->dir);
}

int theirs_read(const struct theirs *theirs, const struct secret *key, uint8_t **ret_permanent,
                size_t *ret_len, struct err *err)
{
        struct swtpm_state parts;
        uint8_t *file = NULL;
        size_t len = 0;
        int rc;

        if (faccessat(theirs->dir, SUSPENDED_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
                return err_set(err, ERR_CONFLICT,
                               "the state belongs to a VM that swtpm has suspended");
        rc =
            fs_read_plain_file_at(theirs->dir, STATE_SWTPM_NAME, SWTPM_STATE_MAX, &file, &len, err);
        if (rc == 0)
                rc = swtpm_state_parse((struct bytes){file, len}, &parts, err);
        if (rc == 0)
                rc = swtpm_state_open(&parts, key, ret_permanent, ret_len, err);
        if (file != NULL)
                explicit_bzero(file, len);
        free(file);
        return rc;
}
