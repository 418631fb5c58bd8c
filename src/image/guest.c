#include "image/guest.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "image/elfinfo.h"

#define MODULES_TARGET "/lib/modules"
#define PATH_ROOM      (FILESET_PATH_MAX + 1)

/*
 * Loading order matters: in 6.1 virtio_ring comes before virtio. Modules are not stripped, their
 * signatures and digests are Debian's.
 */
static const char *const modules[] = {
    "kernel/drivers/virtio/virtio_ring.ko",
    "kernel/drivers/virtio/virtio.ko",
    "kernel/drivers/virtio/virtio_pci_legacy_dev.ko",
    "kernel/drivers/virtio/virtio_pci_modern_dev.ko",
    "kernel/drivers/virtio/virtio_pci.ko",
    "kernel/drivers/char/virtio_console.ko",
};

/* Small programs of Debian's coreutils, the workload of a guest that has no other. */
static const char *const default_programs[] = {"/usr/bin/true", "/usr/bin/uname", "/usr/bin/nproc",
                                               "/usr/bin/date", NULL};

/* Where Debian's loader looks without a cache; where both are one directory the first wins. */
static const char *const library_dirs[] = {"/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu",
                                           "/usr/lib", "/lib"};

static const char *const empty_dirs[] = {"/dev", "/proc", "/run", "/sys", "/tmp"};

void guest_done(struct guest *guest)
{
        fileset_done(&guest->files);
        guest->n_measured = 0;
}

/* Files that the kernel has seen are not measured again. */
static int measure(struct guest *guest, const char *path, struct err *err)
{
        const struct fileset_entry *entry = fileset_find(&guest->files, path);

        for (size_t i = 0; i < guest->n_measured; i++)
                if (strcmp(guest->measured[i], path) == 0)
                        return 0;
        if (entry == NULL)
                return err_set(err, ERR_NOT_FOUND, "%s: not in the initramfs", path);
        if (guest->n_measured == GUEST_MEASURED_MAX)
                return err_set(err, ERR_LIMIT, "more than %d measured files", GUEST_MEASURED_MAX);
        guest->measured[guest->n_measured++] = entry->path;
        return 0;
}

static int find_library(const char *name, const char *needed_by, char *ret_path, struct err *err)
{
        for (size_t i = 0; i < ARRAY_SIZE(library_dirs); i++) {
                (void)snprintf(ret_path, PATH_ROOM, "%s/%s", library_dirs[i], name);
                if (access(ret_path, R_OK) == 0)
                        return 0;
        }
        return err_set(err, ERR_NOT_FOUND, "library %s, which %s needs: not on this machine", name,
                       needed_by);
}

/* Libraries still to look at, in the breadth-first order in which the loader maps them. */
struct closure {
        struct guest *guest;
        char library[GUEST_MEASURED_MAX][PATH_ROOM]; /* path in the guest */
        size_t n;
};

static int add_library(struct closure *closure, const char *name, const char *needed_by,
                       struct err *err)
{
        char source[PATH_ROOM];
        char target[PATH_ROOM];
        int rc;

        if (strchr(name, '/') != NULL)
                return err_set(err, ERR_UNSUPPORTED, "%s needs %s, which is a path", needed_by,
                               name);
        /* Every program names the loader, which is there already as its interpreter. */
        if (strcmp(name, "ld-linux-x86-64.so.2") == 0)
                return 0;
        (void)snprintf(target, sizeof(target), "%s/%s", GUEST_LIBRARY_DIR, name);
        for (size_t i = 0; i < closure->n; i++)
                if (strcmp(closure->library[i], target) == 0)
                        return 0;
        if (closure->n == GUEST_MEASURED_MAX)
                return err_set(err, ERR_LIMIT, "more than %d libraries", GUEST_MEASURED_MAX);
        rc = find_library(name, needed_by, source, err);
        if (rc == 0)
                rc = fileset_add_file(&closure->guest->files, target, 0755, source, err);
        if (rc == 0)
                memcpy(closure->library[closure->n++], target, sizeof(target));
        return rc;
}

/* Puts what a file of the set needs behind the closure's end. */
static int add_needed(struct closure *closure, const char *path, struct elfinfo *ret_info,
                      struct err *err)
{
        const struct fileset_entry *entry = fileset_find(&closure->guest->files, path);
        struct elfinfo info;
        int rc;

        if (entry == NULL)
                return err_set(err, ERR_NOT_FOUND, "%s: not in the initramfs", path);
        rc = elfinfo_parse((struct bytes){entry->data, entry->len}, &info, err);
        if (rc < 0)
                return err_wrap(err, "%s", entry->source);
        for (size_t i = 0; rc == 0 && i < info.n_needed; i++)
                rc = add_library(closure, info.needed[i], path, err);
        *ret_info = info;
        return rc;
}

/* Follows the closure to its end and measures it in order. */
static int add_closure(struct closure *closure, struct err *err)
{
        struct elfinfo info;
        int rc = 0;

        for (size_t i = 0; rc == 0 && i < closure->n; i++)
                rc = add_needed(closure, closure->library[i], &info, err);
        for (size_t i = 0; rc == 0 && i < closure->n; i++)
                rc = measure(closure->guest, closure->library[i], err);
        return rc;
}

/* The kernel measures the program, then its loader; the loader opens the libraries. */
static int add_program(struct guest *guest, const char *target, const char *source, struct err *err)
{
        AUTO_FREE struct closure *closure = calloc(1, sizeof(*closure));
        struct elfinfo info = {0};
        char loader[PATH_ROOM] = "";
        int rc;

        if (closure == NULL)
                return err_set(err, ERR_NO_MEMORY, "%s", source);
        closure->guest = guest;
        rc = fileset_add_file(&guest->files, target, 0755, source, err);
        if (rc == 0)
                rc = add_needed(closure, target, &info, err);
        if (rc == 0 && info.interpreter != NULL) {
                (void)snprintf(loader, sizeof(loader), "%s", info.interpreter);
                rc = fileset_add_file(&guest->files, loader, 0755, loader, err);
        }
        if (rc == 0)
                rc = measure(guest, target, err);
        if (rc == 0 && loader[0] != '\0')
                rc = measure(guest, loader, err);
        return rc == 0 ? add_closure(closure, err) : rc;
}

static int add_list(struct guest *guest, const char *path, const struct writer *list,
                    struct err *err)
{
        int rc = writer_check(list) < 0
                     ? err_set(err, ERR_LIMIT, "%s: too long", path)
                     : fileset_add_data(&guest->files, path, 0644, writer_bytes(list), err);

        /* The policy "tcb" measures what root reads: the list comes before what it lists. */
        return rc == 0 ? measure(guest, path, err) : rc;
}

static int add_modules(struct guest *guest, const char *dir, struct err *err)
{
        AUTO_WRITER struct writer list = {0};
        char target[ARRAY_SIZE(modules)][PATH_ROOM];
        char source[PATH_MAX];
        int rc = 0;

        writer_init(&list, 1U << 16);
        for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(modules); i++) {
                (void)snprintf(target[i], sizeof(target[i]), "%s/%s", MODULES_TARGET,
                               strrchr(modules[i], '/') + 1);
                writer_put_text(&list, target[i]);
                writer_put_text(&list, "\n");
                rc = fs_join(source, sizeof(source), dir, modules[i], err);
                if (rc == 0)
                        rc = fileset_add_file(&guest->files, target[i], 0644, source, err);
        }
        if (rc == 0)
                rc = add_list(guest, GUEST_MODULES_LIST, &list, err);
        for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(modules); i++)
                rc = measure(guest, target[i], err);
        return rc;
}

static int add_programs(struct guest *guest, const char *const *programs, struct err *err)
{
        AUTO_WRITER struct writer list = {0};
        char target[GUEST_PROGRAMS_MAX][PATH_ROOM];
        size_t n = 0;
        int rc;

        writer_init(&list, 1U << 16);
        for (; programs[n] != NULL; n++) {
                const char *slash = strrchr(programs[n], '/');

                if (n == GUEST_PROGRAMS_MAX)
                        return err_set(err, ERR_LIMIT, "more than %d programs", GUEST_PROGRAMS_MAX);
                (void)snprintf(target[n], sizeof(target[n]), "/bin/%s",
                               slash == NULL ? programs[n] : slash + 1);
                writer_put_text(&list, target[n]);
                writer_put_text(&list, "\n");
        }
        rc = add_list(guest, GUEST_PROGRAMS_LIST, &list, err);
        for (size_t i = 0; rc == 0 && i < n; i++)
                rc = add_program(guest, target[i], programs[i], err);
        return rc;
}

int guest_collect(const struct guest_request *request, struct guest *guest, struct err *err)
{
        const char *const *programs = request->programs;
        int rc = 0;

        if (programs == NULL)
                programs = default_programs;
        for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(empty_dirs); i++)
                rc = fileset_add_dir(&guest->files, empty_dirs[i], err);
        if (rc == 0)
                rc = add_program(guest, "/init", request->agent, err);
        if (rc == 0)
                rc = add_modules(guest, request->modules_dir, err);
        if (rc == 0)
                rc = add_programs(guest, programs, err);
        return rc < 0 ? err_wrap(err, "initramfs") : 0;
}
