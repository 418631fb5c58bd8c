#include "image/kernel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "base/hex.h"
#include "crypto/hash.h"
#include "image/tool.h"

#define METAPACKAGE   "linux-image-cloud-amd64"
#define SHOW_MAX      (1U << 20) /* bytes of apt-cache show */
#define DEB_MAX       (512U << 20)
#define VMLINUZ       "vmlinuz-"
#define PACKAGE_START "linux-image-"

/* What apt knows of one package version. */
struct package {
        char name[KERNEL_NAME_MAX];
        char version[KERNEL_NAME_MAX];
        char sha256[65];
        char depends[SHOW_MAX / 1024];
};

/* HOME, or what the user database says where a service or a CI runner sets none; or NULL. */
static const char *find_home(void)
{
        const char *home = getenv("HOME");
        const struct passwd *user;

        if (home != NULL)
                return home;
        user = getpwuid(geteuid());
        return user == NULL ? NULL : user->pw_dir;
}

int kernel_cache_dir(char ret_dir[PATH_MAX], struct err *err)
{
        const char *cache = getenv("XDG_CACHE_HOME");
        const char *home = find_home();
        int rc;

        if (cache != NULL && cache[0] == '/')
                rc = fs_join(ret_dir, PATH_MAX, cache, "catena", err);
        else if (home != NULL && home[0] == '/')
                rc = fs_join(ret_dir, PATH_MAX, home, ".cache/catena", err);
        else
                return err_set(err, ERR_NOT_FOUND, "no HOME: name a cache directory with --cache");
        if (rc == 0 && fs_make_dir(ret_dir, 0755, err) != 0)
                rc = err_hint(err, "name a cache directory with --cache or XDG_CACHE_HOME");
        return rc;
}

static int copy_name(char *ret_name, size_t size, const char *text, size_t len, struct err *err)
{
        if (len == 0 || len >= size)
                return err_set(err, ERR_LIMIT, "%.40s: bad length %zu of a name", text, len);
        memcpy(ret_name, text, len);
        ret_name[len] = '\0';
        return 0;
}

int kernel_open(const char *dir, struct kernel *ret_kernel, struct err *err)
{
        struct kernel kernel = {.release = ""};
        char boot[PATH_MAX];
        struct dirent *entry;
        DIR *d;
        int rc;

        rc = fs_join(boot, sizeof(boot), dir, "boot", err);
        if (rc < 0)
                return rc;
        d = opendir(boot);
        if (d == NULL)
                return err_set_errno(err, errno, "%s", boot);
        while (rc == 0 && (entry = readdir(d)) != NULL) {
                const char *release = entry->d_name + strlen(VMLINUZ);

                if (strncmp(entry->d_name, VMLINUZ, strlen(VMLINUZ)) != 0)
                        continue;
                if (kernel.release[0] != '\0')
                        rc = err_set(err, ERR_CONFLICT, "%s: holds more than one kernel", boot);
                else
                        rc = copy_name(kernel.release, sizeof(kernel.release), release,
                                       strlen(release), err);
        }
        (void)closedir(d);
        if (rc == 0 && kernel.release[0] == '\0')
                rc = err_set(err, ERR_NOT_FOUND, "%s: no vmlinuz-*", boot);
        if (rc < 0)
                return rc;
        if (snprintf(kernel.image, PATH_MAX, "%s/boot/" VMLINUZ "%s", dir, kernel.release) >=
                PATH_MAX ||
            snprintf(kernel.modules_dir, PATH_MAX, "%s/lib/modules/%s", dir, kernel.release) >=
                PATH_MAX)
                return err_set(err, ERR_LIMIT, "%s: path too long", dir);
        *ret_kernel = kernel;
        return 0;
}

/* Copies the value of "Field: value" of the first paragraph; "" if it has none. */
static int get_field(const char *text, const char *field, char *ret_value, size_t size,
                     struct err *err)
{
        size_t n = strlen(field);
        const char *end;

        ret_value[0] = '\0';
        for (const char *line = text; line != NULL && *line != '\n' && *line != '\0';) {
                end = strchrnul(line, '\n');
                if (strncmp(line, field, n) == 0 && strncmp(line + n, ": ", 2) == 0)
                        return copy_name(ret_value, size, line + n + 2,
                                         (size_t)(end - (line + n + 2)), err);
                line = *end == '\0' ? NULL : end + 1;
        }
        return 0;
}

static int show_package(const char *name, struct package *ret_package, struct err *err)
{
        const char *const argv[] = {"apt-cache", "show", "--no-all-versions", name, NULL};
        const struct tool tool = {.package = "apt", .argv = argv, .stdin_fd = -1, .stdout_fd = -1};
        AUTO_FREE uint8_t *text = NULL;
        size_t len = 0;
        int rc;

        rc = tool_capture(&tool, SHOW_MAX, &text, &len, err);
        if (rc < 0 || len == 0) {
                (void)err_set(err, ERR_NOT_FOUND, "apt knows no package %s", name);
                return err_hint(err, "run apt-get update, or name an unpacked kernel package "
                                     "with --kernel");
        }
        rc = get_field((char *)text, "Package", ret_package->name, KERNEL_NAME_MAX, err);
        if (rc == 0)
                rc = get_field((char *)text, "Version", ret_package->version, KERNEL_NAME_MAX, err);
        if (rc == 0)
                rc = get_field((char *)text, "SHA256", ret_package->sha256,
                               sizeof(ret_package->sha256), err);
        if (rc == 0)
                rc = get_field((char *)text, "Depends", ret_package->depends,
                               sizeof(ret_package->depends), err);
        return rc < 0 ? err_wrap(err, "apt-cache show %s", name) : 0;
}

/* The metapackage depends on the kernel: "linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2)". */
static int find_package(struct package *ret_package, struct err *err)
{
        AUTO_FREE struct package *meta = calloc(1, sizeof(*meta));
        char name[KERNEL_NAME_MAX];
        const char *start;
        int rc;

        if (meta == NULL)
                return err_set(err, ERR_NO_MEMORY, "apt-cache");
        rc = show_package(METAPACKAGE, meta, err);
        if (rc < 0)
                return rc;
        start = strstr(meta->depends, PACKAGE_START);
        if (start == NULL)
                return err_set(err, ERR_MALFORMED, "%s depends on no kernel: %s", METAPACKAGE,
                               meta->depends);
        rc = copy_name(name, sizeof(name), start, strcspn(start, " ,(|"), err);
        return rc == 0 ? show_package(name, ret_package, err) : rc;
}

/* ERR_NOT_FOUND if the archive is not there; ERR_DAMAGED if it is not what apt expects. */
static int check_archive(const char *path, const struct package *package, struct err *err)
{
        const struct hash_alg *alg = hash_by_tpm_id(HASH_TPM_SHA256);
        uint8_t digest[HASH_SIZE_MAX];
        char text[2 * HASH_SIZE_MAX + 1];
        AUTO_FREE uint8_t *data = NULL;
        size_t len = 0;
        int rc;

        rc = fs_read_file(path, DEB_MAX, &data, &len, err);
        if (rc == 0)
                rc = hash_digest(alg, data, len, digest, err);
        if (rc < 0)
                return rc;
        if (strcmp(hex_encode(digest, alg->size, text), package->sha256) != 0)
                return err_set(err, ERR_DAMAGED, "%s: not the file that apt's index names", path);
        return 0;
}

static int download(const char *cache, const struct package *package, struct err *err)
{
        char what[2 * KERNEL_NAME_MAX + 1];
        const char *const argv[] = {"apt-get", "-q", "download", what, NULL};
        const struct tool tool = {
            .package = "apt", .argv = argv, .dir = cache, .stdin_fd = -1, .stdout_fd = -1};

        (void)snprintf(what, sizeof(what), "%s=%s", package->name, package->version);
        if (tool_run(&tool, err) == 0)
                return 0;
        if (err->code == ERR_FAILED)
                (void)err_hint(err,
                               "check the network and the disk, run apt-get update, or put "
                               "%s_%s_amd64.deb into %s",
                               package->name, package->version, cache);
        return err->code;
}

/* Unpacks beside the final name and renames, so that a half unpacked kernel is never used. */
static int unpack(const char *archive, const char *dir, struct err *err)
{
        char temporary[PATH_MAX];
        const char *const argv[] = {"dpkg-deb", "-x", archive, temporary, NULL};
        const char *const remove[] = {"rm", "-rf", "--", temporary, NULL};
        const struct tool tool = {.package = "dpkg", .argv = argv, .stdin_fd = -1, .stdout_fd = -1};
        const struct tool remover = {
            .package = "coreutils", .argv = remove, .stdin_fd = -1, .stdout_fd = -1};
        struct err ignored = {0};
        int rc;

        if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", dir) >= PATH_MAX)
                return err_set(err, ERR_LIMIT, "%s: path too long", dir);
        if (mkdtemp(temporary) == NULL)
                return err_set_errno(err, errno, "%s", temporary);
        rc = tool_run(&tool, err);
        if (rc == 0 && rename(temporary, dir) == 0)
                return 0;
        /* Another builder may have been faster: its result is as good as ours. */
        if (rc == 0 && errno != ENOTEMPTY && errno != EEXIST)
                rc = err_set_errno(err, errno, "%s", dir);
        (void)!tool_run(&remover, &ignored);
        return rc;
}

/* The archive's file name; apt writes an epoch's colon as %3a, kernels have none. */
static int cache_paths(const char *cache, const struct package *package, char *ret_archive,
                       char *ret_dir, struct err *err)
{
        if (snprintf(ret_archive, PATH_MAX, "%s/%s_%s_amd64.deb", cache, package->name,
                     package->version) >= PATH_MAX ||
            snprintf(ret_dir, PATH_MAX, "%s/%s_%s", cache, package->name, package->version) >=
                PATH_MAX)
                return err_set(err, ERR_LIMIT, "%s: path too long", cache);
        return 0;
}

/* One builder at a time in a cache: apt writes a download in place. Freed by closing. */
static int lock_cache(const char *cache, int *ret_lock, struct err *err)
{
        AUTO_FD int fd = open(cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return err_set_errno(err, errno, "%s", cache);
        if (flock(fd, LOCK_EX) != 0)
                return err_set_errno(err, errno, "%s: lock", cache);
        *ret_lock = TAKE_FD(fd);
        return 0;
}

int kernel_fetch(const char *cache, const struct image_progress *progress,
                 struct kernel *ret_kernel, struct err *err)
{
        AUTO_FREE struct package *package = calloc(1, sizeof(*package));
        char archive[PATH_MAX];
        char dir[PATH_MAX];
        struct kernel kernel;
        AUTO_FD int lock = -1;
        int rc;

        if (package == NULL)
                return err_set(err, ERR_NO_MEMORY, "kernel");
        rc = lock_cache(cache, &lock, err);
        if (rc == 0)
                rc = find_package(package, err);
        if (rc == 0)
                rc = cache_paths(cache, package, archive, dir, err);
        if (rc == 0 && check_archive(archive, package, err) < 0) {
                image_say(progress, "downloading %s %s", package->name, package->version);
                rc = download(cache, package, err);
                if (rc == 0)
                        rc = check_archive(archive, package, err);
        }
        if (rc == 0 && access(dir, R_OK) != 0) {
                image_say(progress, "unpacking %s", archive);
                rc = unpack(archive, dir, err);
        }
        if (rc == 0)
                rc = kernel_open(dir, &kernel, err);
        if (rc < 0)
                return err_wrap(err, "kernel");
        (void)snprintf(kernel.package, sizeof(kernel.package), "%s", package->name);
        (void)snprintf(kernel.version, sizeof(kernel.version), "%s", package->version);
        *ret_kernel = kernel;
        return 0;
}
