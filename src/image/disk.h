/*
 * The EFI disk: GRUB as \EFI\BOOT\BOOTX64.EFI, its configuration, kernel and initramfs on one FAT
 * file system without a partition table, made by mtools so that equal files give equal bytes.
 */
#ifndef IMAGE_DISK_H
#define IMAGE_DISK_H

#include <stddef.h>

#include "base/err.h"
#include "base/reader.h"

#define DISK_FILE_MAX    (256U << 20)
#define DISK_CMDLINE_MAX 1024 /* characters of a kernel command line */

enum disk_file {
        DISK_GRUB,
        DISK_GRUB_CFG,
        DISK_KERNEL,
        DISK_INITRD,
        DISK_FILES,
};

/* "/EFI/BOOT/BOOTX64.EFI", "/grub.cfg", "/vmlinuz", "/initrd.gz": names on the disk. */
const char *disk_file_path(enum disk_file file);

/*
 * The text of grub.cfg for this kernel command line, NUL-terminated, in size bytes.
 * ERR_USAGE when the line has characters that GRUB's script would not take literally.
 */
int disk_grub_cfg(const char *cmdline, char *ret_text, size_t size, struct err *err) MUST_CHECK;

/* Makes GRUB's EFI program in dir; its bytes depend on Debian's grub-efi-amd64-bin only. */
int disk_make_grub(const char *dir, uint8_t **ret_data, size_t *ret_len,
                   struct err *err) MUST_CHECK;

/* Writes a new disk of these files to path (replaced whole); dir is for temporary files. */
int disk_write(const char *path, const char *dir, const struct bytes files[DISK_FILES],
               struct err *err) MUST_CHECK;

/* Reads one file of a disk; free() the result. ERR_NOT_FOUND if the disk has none. */
int disk_read(const char *path, enum disk_file file, uint8_t **ret_data, size_t *ret_len,
              struct err *err) MUST_CHECK;

/* gzip by Debian's gzip, without time and name; free() the result. */
int disk_compress(struct bytes data, uint8_t **ret_data, size_t *ret_len,
                  struct err *err) MUST_CHECK;

#endif
