/* Evidence from and to a directory: every step relative to a descriptor, no link followed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "verify/evidence.h"

static void dir_close(DIR **dir)
{
        if (*dir != NULL)
                (void)closedir(*dir);
}

static int open_dir(int at, const char *name, int *ret_fd, struct err *err)
{
        int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        if (fd < 0)
                return err_set_errno(err, errno, "open directory %s", name);
        *ret_fd = fd;
        return 0;
}

static int load_file(struct evidence *evidence, int at, const char *name, const char *path,
                     struct err *err)
{
        int AUTO_FD fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        uint8_t AUTO_FREE *data = NULL;
        struct stat st;
        size_t len;
        int rc;

        if (fd < 0 && errno == ELOOP)
                return err_set(err, ERR_MALFORMED, "%s is a symbolic link", path);
        if (fd < 0 || fstat(fd, &st) < 0)
                return err_set_errno(err, errno, "open %s", path);
        if (!S_ISREG(st.st_mode))
                return err_set(err, ERR_MALFORMED, "%s is not a regular file", path);
        rc = fs_read_fd(fd, EVIDENCE_BLOB_MAX, &data, &len, err);
        if (rc != 0)
                return err_wrap(err, "read %s", path);
        return evidence_put(evidence, path, (struct bytes){data, len}, err);
}

/* What the walk meets: the path below the evidence's directory, and how deep it is. */
struct place {
        struct evidence *evidence;
        int fd;
        char prefix[EVIDENCE_PATH_MAX + 1]; /* "" or ends in '/' */
};

static bool is_directory(int at, const char *name)
{
        struct stat st;

        return fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static int load_entry(const struct place *place, const char *name, struct err *err)
{
        char path[EVIDENCE_PATH_MAX + 1];

        if (!evidence_name_is_safe(name) ||
            snprintf(path, sizeof(path), "%s%s", place->prefix, name) >= (int)sizeof(path))
                return err_set(err, ERR_MALFORMED, "unsafe name in evidence below \"%s\"",
                               place->prefix);
        if (is_directory(place->fd, name) && place->prefix[0] == '\0')
                return 0;
        return load_file(place->evidence, place->fd, name, path, err);
}

static int for_each_entry(const struct place *place,
                          int (*visit)(const struct place *, const char *, struct err *),
                          struct err *err)
{
        DIR CLEANUP(dir_close) *dir = NULL;
        struct dirent *entry;
        int fd = openat(place->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int rc = 0;

        if (fd >= 0)
                dir = fdopendir(fd);
        if (dir == NULL) {
                rc = err_set_errno(err, errno, "read directory %s", place->prefix);
                fd_close(&fd);
                return rc;
        }
        for (size_t n = 0; rc == 0 && (errno = 0, entry = readdir(dir)) != NULL; n++) {
                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                if (n > EVIDENCE_BLOBS_MAX)
                        return err_set(err, ERR_LIMIT, "too many files below \"%s\"",
                                       place->prefix);
                rc = visit(place, entry->d_name, err);
        }
        return rc;
}

static int load_vm(const struct place *vms, const char *name, struct err *err)
{
        struct place place = {.evidence = vms->evidence, .fd = -1};
        int AUTO_FD fd = -1;
        int rc;

        if (!evidence_name_is_safe(name))
                return err_set(err, ERR_MALFORMED, "unsafe name of a VM in evidence");
        rc = open_dir(vms->fd, name, &fd, err);
        if (rc != 0)
                return rc;
        place.fd = fd;
        (void)snprintf(place.prefix, sizeof(place.prefix), "vms/%s/", name);
        return for_each_entry(&place, load_entry, err);
}

static int load_part(const struct place *root, const char *name,
                     int (*visit)(const struct place *, const char *, struct err *),
                     struct err *err)
{
        struct place place = {.evidence = root->evidence, .fd = -1};
        int AUTO_FD fd = -1;
        int rc = open_dir(root->fd, name, &fd, err);

        if (rc == ERR_NOT_FOUND)
                return 0;
        if (rc != 0)
                return rc;
        place.fd = fd;
        (void)snprintf(place.prefix, sizeof(place.prefix), "%s/", name);
        return for_each_entry(&place, visit, err);
}

int evidence_load(const char *dir, struct evidence **ret_evidence, struct err *err)
{
        struct evidence AUTO_EVIDENCE *evidence = NULL;
        struct place root = {.fd = -1};
        int AUTO_FD fd = -1;
        int rc = evidence_new(&evidence, err);

        if (rc == 0) {
                /* The directory itself may be reached through a link: the caller named it. */
                fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (fd < 0)
                        return err_set_errno(err, errno, "open %s", dir);
                root.fd = fd;
                root.evidence = evidence;
                rc = for_each_entry(&root, load_entry, err);
        }
        if (rc == 0)
                rc = load_part(&root, "host", load_entry, err);
        if (rc == 0)
                rc = load_part(&root, "vms", load_vm, err);
        if (rc != 0)
                return err_wrap(err, "evidence %s", dir);
        *ret_evidence = TAKE(evidence);
        return 0;
}

/* Makes and opens the directory of a path's last component, one component after the other. */
static int open_parent(int root, const char *path, const char **ret_name, int *ret_fd,
                       struct err *err)
{
        int AUTO_FD at = fcntl(root, F_DUPFD_CLOEXEC, 0);
        const char *slash;

        if (at < 0)
                return err_set_errno(err, errno, "duplicate a descriptor");
        while ((slash = strchr(path, '/')) != NULL) {
                char name[EVIDENCE_COMPONENT_MAX + 1];
                int next = -1;
                int rc;

                (void)snprintf(name, sizeof(name), "%.*s", (int)(slash - path), path);
                if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
                        return err_set_errno(err, errno, "make directory %s", name);
                rc = open_dir(at, name, &next, err);
                if (rc != 0)
                        return rc;
                fd_close(&at);
                at = next;
                path = slash + 1;
        }
        *ret_name = path;
        *ret_fd = TAKE_FD(at);
        return 0;
}

static int save_blob(const struct evidence *evidence, size_t i, int root, struct err *err)
{
        struct bytes data = evidence_data(evidence, i);
        const char *name = NULL;
        int AUTO_FD fd = -1;
        int rc = open_parent(root, evidence_path(evidence, i), &name, &fd, err);

        if (rc != 0)
                return rc;
        return fs_write_file_at(fd, name, data.data, data.len, 0600, err);
}

int evidence_save(const struct evidence *evidence, const char *dir, struct err *err)
{
        int AUTO_FD root = -1;
        int rc = fs_make_dir(dir, 0700, err);

        if (rc != 0)
                return rc;
        root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (root < 0)
                return err_set_errno(err, errno, "open %s", dir);
        for (size_t i = 0; i < evidence_count(evidence); i++) {
                rc = save_blob(evidence, i, root, err);
                if (rc != 0)
                        return err_wrap(err, "save evidence to %s: %s", dir,
                                        evidence_path(evidence, i));
        }
        return 0;
}
