/*
 * Disks with one part changed that still boot; see image.h.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/macro.h"
#include "base/writer.h"
#include "image/disk.h"
#include "image/fileset.h"
#include "image/image.h"
#include "image/scratch.h"

#define TAMPER_ARGUMENT " catena.tampered=1"
#define TAMPER_FILE     "/etc/catena/tampered"
#define DOS_TEXT        0x40  /* in GRUB's image: behind the DOS header, before the PE header */
#define SETUP_VERSION   0x20e /* offset of the version text, less 0x200 (Linux boot protocol) */

static const char *const names[IMAGE_TAMPERS] = {
    [IMAGE_TAMPER_GRUB] = "grub",
    [IMAGE_TAMPER_KERNEL] = "kernel",
    [IMAGE_TAMPER_CMDLINE] = "cmdline",
    [IMAGE_TAMPER_INITRD] = "initrd",
};

struct disk_content {
        uint8_t *data[DISK_FILES];
        struct bytes file[DISK_FILES];
        struct scratch scratch;
};

static void content_done(struct disk_content *content)
{
        for (int i = 0; i < DISK_FILES; i++)
                free(content->data[i]);
        scratch_done(&content->scratch);
}

const char *image_tamper_name(enum image_tamper tamper)
{
        return names[tamper];
}

static int flip_grub(struct disk_content *c, struct err *err)
{
        if (c->file[DISK_GRUB].len <= DOS_TEXT)
                return err_set(err, ERR_MALFORMED, "GRUB: too short");
        c->data[DISK_GRUB][DOS_TEXT] ^= 1;
        return 0;
}

/* The version text is for people; a letter of it in the other case changes nothing else. */
static int flip_kernel(struct disk_content *c, struct err *err)
{
        struct bytes kernel = c->file[DISK_KERNEL];
        struct reader r = reader_from_bytes(kernel);
        uint16_t version;
        size_t offset;

        if (reader_skip(&r, SETUP_VERSION) < 0 || reader_get_le16(&r, &version) < 0 ||
            (size_t)version + 0x200 >= kernel.len)
                return err_set(err, ERR_MALFORMED, "kernel: has no version text");
        for (offset = (size_t)version + 0x200; offset < kernel.len; offset++) {
                uint8_t letter = kernel.data[offset];

                if (letter == '\0')
                        break;
                if (letter < 'a' || letter > 'z')
                        continue;
                c->data[DISK_KERNEL][offset] = (uint8_t)(letter ^ 0x20);
                return 0;
        }
        return err_set(err, ERR_MALFORMED, "kernel: no letter in its version text");
}

static int replace(struct disk_content *c, enum disk_file file, struct writer *w, struct err *err)
{
        if (writer_check(w) < 0)
                return err_set(err, ERR_LIMIT, "%s: too large", disk_file_path(file));
        free(c->data[file]);
        c->data[file] = writer_take(w, &c->file[file].len);
        c->file[file].data = c->data[file];
        return 0;
}

static int add_argument(struct disk_content *c, struct err *err)
{
        AUTO_WRITER struct writer w = {0};
        struct bytes old = c->file[DISK_GRUB_CFG];
        const uint8_t *line = memmem(old.data, old.len, "linuxefi", strlen("linuxefi"));
        const uint8_t *end;
        size_t before;

        end = line == NULL ? NULL : memchr(line, '\n', old.len - (size_t)(line - old.data));
        if (end == NULL)
                return err_set(err, ERR_MALFORMED, "grub.cfg: has no linuxefi line");
        before = (size_t)(end - old.data);
        writer_init(&w, old.len + strlen(TAMPER_ARGUMENT));
        writer_put(&w, old.data, before);
        writer_put_text(&w, TAMPER_ARGUMENT);
        writer_put(&w, end, old.len - before);
        return replace(c, DISK_GRUB_CFG, &w, err);
}

/* The kernel unpacks a second archive behind the first; it begins at a multiple of four. */
static int add_archive(struct disk_content *c, struct err *err)
{
        AUTO_FILESET struct fileset set = {.n = 0};
        AUTO_WRITER struct writer w = {0};
        struct bytes old = c->file[DISK_INITRD];
        int rc;

        writer_init(&w, DISK_FILE_MAX);
        writer_put_bytes(&w, old);
        while (w.len % 4 != 0 && !w.failed)
                writer_put_u8(&w, 0);
        rc = fileset_add_data(&set, TAMPER_FILE, 0644, (struct bytes){(const uint8_t *)"x\n", 2},
                              err);
        if (rc == 0)
                rc = fileset_write_cpio(&set, &w, err);
        return rc == 0 ? replace(c, DISK_INITRD, &w, err) : rc;
}

/* The image that a policy was made of would be gone. */
static int check_names(const char *image, const char *out, struct err *err)
{
        struct stat source;
        struct stat target;

        if (stat(image, &source) == 0 && stat(out, &target) == 0 &&
            source.st_dev == target.st_dev && source.st_ino == target.st_ino)
                return err_set(err, ERR_USAGE, "--out is the image itself");
        return 0;
}

int image_tamper(const char *image, const char *out, enum image_tamper tamper, struct err *err)
{
        static int (*const change[IMAGE_TAMPERS])(struct disk_content *, struct err *) = {
            [IMAGE_TAMPER_GRUB] = flip_grub,
            [IMAGE_TAMPER_KERNEL] = flip_kernel,
            [IMAGE_TAMPER_CMDLINE] = add_argument,
            [IMAGE_TAMPER_INITRD] = add_archive,
        };
        CLEANUP(content_done) struct disk_content c = {0};
        int rc = check_names(image, out, err);

        if (rc == 0)
                rc = scratch_init(&c.scratch, err);
        for (int i = 0; rc == 0 && i < DISK_FILES; i++) {
                rc = disk_read(image, (enum disk_file)i, &c.data[i], &c.file[i].len, err);
                c.file[i].data = c.data[i];
        }
        if (rc == 0)
                rc = change[tamper](&c, err);
        if (rc == 0)
                rc = disk_write(out, c.scratch.path, c.file, err);
        return rc < 0 ? err_wrap(err, "change %s of %s", names[tamper], image) : 0;
}
