#include "image/image.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/macro.h"
#include "image/disk.h"
#include "image/guest.h"
#include "image/kernel.h"
#include "image/manifest.h"
#include "image/scratch.h"

#define GRUB_CFG_MAX (DISK_CMDLINE_MAX + 512)

/* Everything between request and disk. */
struct build {
        struct kernel kernel;
        struct guest guest;
        struct scratch scratch;
        char grub_cfg[GRUB_CFG_MAX];
        uint8_t *data[DISK_FILES]; /* owned */
        struct bytes file[DISK_FILES];
        json_t *manifest;
};

static void build_free(struct build *build)
{
        for (int i = 0; i < DISK_FILES; i++)
                free(build->data[i]);
        guest_done(&build->guest);
        scratch_done(&build->scratch);
        json_decref(build->manifest);
        free(build);
}
DEFINE_CLEANUP(struct build *, build_free)

static int find_kernel(const struct image_request *request, struct kernel *ret_kernel,
                       struct err *err)
{
        char cache[PATH_MAX];
        int rc;

        if (request->kernel_dir != NULL)
                return kernel_open(request->kernel_dir, ret_kernel, err);
        if (request->cache != NULL)
                return kernel_fetch(request->cache, request->progress, ret_kernel, err);
        rc = kernel_cache_dir(cache, err);
        return rc == 0 ? kernel_fetch(cache, request->progress, ret_kernel, err) : rc;
}

static int make_initrd(struct build *build, struct err *err)
{
        AUTO_WRITER struct writer archive = {0};
        int rc;

        writer_init(&archive, FILESET_TOTAL_MAX);
        rc = fileset_write_cpio(&build->guest.files, &archive, err);
        if (rc == 0)
                rc = disk_compress(writer_bytes(&archive), &build->data[DISK_INITRD],
                                   &build->file[DISK_INITRD].len, err);
        return rc < 0 ? err_wrap(err, "initramfs") : 0;
}

static int make_files(struct build *build, struct err *err)
{
        int rc;

        rc = disk_make_grub(build->scratch.path, &build->data[DISK_GRUB],
                            &build->file[DISK_GRUB].len, err);
        if (rc == 0)
                rc = fs_read_file(build->kernel.image, DISK_FILE_MAX, &build->data[DISK_KERNEL],
                                  &build->file[DISK_KERNEL].len, err);
        if (rc == 0)
                rc = make_initrd(build, err);
        if (rc < 0)
                return rc;
        for (int i = 0; i < DISK_FILES; i++)
                build->file[i].data = build->data[i];
        build->file[DISK_GRUB_CFG] =
            (struct bytes){(const uint8_t *)build->grub_cfg, strlen(build->grub_cfg)};
        return 0;
}

static int collect(struct build *build, const struct image_request *request, struct err *err)
{
        const struct guest_request guest = {
            .agent = request->agent,
            .modules_dir = build->kernel.modules_dir,
            .programs = request->programs,
        };

        image_say(request->progress, "collecting files for kernel %s", build->kernel.release);
        return guest_collect(&guest, &build->guest, err);
}

static int write_out(struct build *build, const char *cmdline, const char *out, struct err *err)
{
        const struct manifest_facts facts = {
            .cmdline = cmdline,
            .kernel = &build->kernel,
            .guest = &build->guest,
            .files = build->file,
            .grub_cfg = build->grub_cfg,
        };
        int rc;

        rc = manifest_from_facts(&facts, &build->manifest, err);
        if (rc == 0)
                rc = disk_write(out, build->scratch.path, build->file, err);
        if (rc == 0)
                rc = manifest_write(out, build->manifest, err);
        return rc;
}

int image_check_tools(const char *root, struct err *err)
{
        static const struct {
                const char *path;
                const char *package;
        } tools[] = {{"/usr/bin/grub-mkimage", "grub-common"},
                     {"/usr/lib/grub/x86_64-efi/tpm.mod", "grub-efi-amd64-bin"},
                     {"/usr/bin/mformat", "mtools"},
                     {"/usr/bin/mcopy", "mtools"}};
        char path[PATH_MAX];

        for (size_t i = 0; i < ARRAY_SIZE(tools); i++) {
                (void)snprintf(path, sizeof(path), "%s%s", root, tools[i].path);
                if (access(path, R_OK) == 0)
                        continue;
                (void)err_set(err, ERR_NOT_FOUND, "%s is missing", path);
                return err_hint(err, "install the package %s: apt-get install %s", tools[i].package,
                                tools[i].package);
        }
        return 0;
}

int image_build(const struct image_request *request, struct err *err)
{
        CLEANUP(build_free_p) struct build *build = calloc(1, sizeof(*build));
        const char *cmdline = request->cmdline == NULL ? IMAGE_CMDLINE : request->cmdline;
        int rc;

        if (build == NULL)
                return err_set(err, ERR_NO_MEMORY, "image");
        rc = image_check_tools("", err);
        if (rc == 0)
                rc = disk_grub_cfg(cmdline, build->grub_cfg, sizeof(build->grub_cfg), err);
        if (rc == 0)
                rc = scratch_init(&build->scratch, err);
        if (rc == 0)
                rc = find_kernel(request, &build->kernel, err);
        if (rc == 0)
                rc = collect(build, request, err);
        if (rc == 0)
                image_say(request->progress, "packing %zu files, %zu of them measured",
                          build->guest.files.n, build->guest.n_measured);
        if (rc == 0)
                rc = make_files(build, err);
        if (rc == 0)
                rc = write_out(build, cmdline, request->out, err);
        if (rc < 0)
                return err_wrap(err, "build %s", request->out);
        return 0;
}
