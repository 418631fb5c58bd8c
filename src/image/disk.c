#include "image/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "base/macro.h"
#include "image/tool.h"

#define DISK_SERIAL   "ca7e0001" /* FAT serial number; mformat would take the time */
#define DISK_LABEL    "CATENA"
#define DISK_ALIGN    (1U << 20)
#define DISK_ROOM     (2U << 20)  /* file system's own blocks and slack */
#define DISK_SIZE_MIN (34U << 20) /* FAT32 needs 65525 clusters of 512 bytes */
#define SECTOR        512

static const char *const disk_paths[DISK_FILES] = {
    [DISK_GRUB] = "/EFI/BOOT/BOOTX64.EFI",
    [DISK_GRUB_CFG] = "/grub.cfg",
    [DISK_KERNEL] = "/vmlinuz",
    [DISK_INITRD] = "/initrd.gz",
};

/* Runs before GRUB can measure its own commands; part of BOOTX64.EFI and so of PCR 4. */
static const char early_cfg[] = "search --file --set=root /grub.cfg\n"
                                "configfile ($root)/grub.cfg\n";

const char *disk_file_path(enum disk_file file)
{
        return disk_paths[file];
}

/*
 * linuxefi and initrdefi, not linux: only they hand the kernel the TPM log in Debian's GRUB 2.06
 * while Secure Boot is off.
 */
int disk_grub_cfg(const char *cmdline, char *ret_text, size_t size, struct err *err)
{
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                    " ._=,:/+-@%";
        size_t len = strlen(cmdline);
        int n;

        if (len > DISK_CMDLINE_MAX || strspn(cmdline, plain) != len)
                return err_set(err, ERR_USAGE,
                               "command line: only letters, digits and ._=,:/+-@%% "
                               "(at most %d)",
                               DISK_CMDLINE_MAX);
        if (len == 0 || cmdline[0] == ' ' || cmdline[len - 1] == ' ' ||
            strstr(cmdline, "  ") != NULL)
                return err_set(err, ERR_USAGE, "command line: single spaces between words only");
        n = snprintf(ret_text, size,
                     "serial --unit=0\nterminal_output serial\nset timeout=0\n"
                     "linuxefi %s %s\ninitrdefi %s\nboot\n",
                     disk_paths[DISK_KERNEL], cmdline, disk_paths[DISK_INITRD]);
        if (n < 0 || (size_t)n >= size)
                return err_set(err, ERR_LIMIT, "command line is too long");
        return 0;
}

static int write_temporary(const char *dir, const char *name, struct bytes data, char *ret_path,
                           struct err *err)
{
        int rc = fs_join(ret_path, PATH_MAX, dir, name, err);

        return rc == 0 ? fs_write_file(ret_path, data.data, data.len, 0600, err) : rc;
}

int disk_make_grub(const char *dir, uint8_t **ret_data, size_t *ret_len, struct err *err)
{
        char config[PATH_MAX];
        char output[PATH_MAX];
        const char *const argv[] = {
            "grub-mkimage", "-O",     "x86_64-efi",     "-p",         "/",     "-c",
            config,         "-o",     output,           "tpm",        "fat",   "part_gpt",
            "part_msdos",   "search", "search_fs_file", "configfile", "linux", "linuxefi",
            "normal",       "boot",   "serial",         "terminal",   "echo",  NULL};
        const struct tool tool = {
            .package = "grub-efi-amd64-bin", .argv = argv, .stdin_fd = -1, .stdout_fd = -1};
        int rc;

        rc = write_temporary(dir, "early.cfg",
                             (struct bytes){(const uint8_t *)early_cfg, strlen(early_cfg)}, config,
                             err);
        if (rc == 0)
                rc = fs_join(output, sizeof(output), dir, "BOOTX64.EFI", err);
        if (rc == 0)
                rc = tool_run(&tool, err);
        if (rc == 0)
                rc = fs_read_file(output, DISK_FILE_MAX, ret_data, ret_len, err);
        if (rc < 0)
                return rc;
        (void)unlink(config);
        (void)unlink(output);
        return 0;
}

static int make_blank(const char *path, size_t size, struct err *err)
{
        AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

        if (fd < 0)
                return err_set_errno(err, errno, "%s", path);
        if (ftruncate(fd, (off_t)size) != 0)
                return err_set_errno(err, errno, "%s: %zu bytes", path, size);
        return 0;
}

static int format(const char *path, size_t size, struct err *err)
{
        char sectors[32];
        const char *const make[] = {"mformat",  "-i", path, "-N",    DISK_SERIAL, "-v",
                                    DISK_LABEL, "-F", "-c", "1",     "-h",        "64",
                                    "-s",       "32", "-T", sectors, "::",        NULL};
        const char *const dirs[] = {"mmd", "-i", path, "::/EFI", "::/EFI/BOOT", NULL};
        const struct tool mformat = {
            .package = "mtools", .argv = make, .stdin_fd = -1, .stdout_fd = -1};
        const struct tool mmd = {
            .package = "mtools", .argv = dirs, .stdin_fd = -1, .stdout_fd = -1};
        int rc;

        (void)snprintf(sectors, sizeof(sectors), "%zu", size / SECTOR);
        rc = tool_run(&mformat, err);
        return rc == 0 ? tool_run(&mmd, err) : rc;
}

static int copy_in(const char *disk, const char *dir, enum disk_file file, struct bytes data,
                   struct err *err)
{
        char source[PATH_MAX];
        char target[64];
        const char *const argv[] = {"mcopy", "-i", disk, source, target, NULL};
        const struct tool tool = {
            .package = "mtools", .argv = argv, .stdin_fd = -1, .stdout_fd = -1};
        int rc;

        (void)snprintf(target, sizeof(target), "::%s", disk_paths[file]);
        rc = write_temporary(dir, "file", data, source, err);
        if (rc == 0)
                rc = tool_run(&tool, err);
        (void)unlink(source);
        return rc < 0 ? err_wrap(err, "%s", disk_paths[file]) : 0;
}

static size_t disk_size(const struct bytes files[DISK_FILES])
{
        size_t size = DISK_ROOM;

        for (int i = 0; i < DISK_FILES; i++)
                size += files[i].len + files[i].len / 100;
        size = (size + DISK_ALIGN - 1) / DISK_ALIGN * DISK_ALIGN;
        return size < DISK_SIZE_MIN ? DISK_SIZE_MIN : size;
}

int disk_write(const char *path, const char *dir, const struct bytes files[DISK_FILES],
               struct err *err)
{
        size_t size = disk_size(files);
        char temporary[PATH_MAX];
        int rc;

        if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= PATH_MAX)
                return err_set(err, ERR_LIMIT, "%s: path too long", path);
        if (unlink(temporary) != 0 && errno != ENOENT)
                return err_set_errno(err, errno, "%s", temporary);
        rc = make_blank(temporary, size, err);
        if (rc == 0)
                rc = format(temporary, size, err);
        for (int i = 0; rc == 0 && i < DISK_FILES; i++)
                rc = copy_in(temporary, dir, (enum disk_file)i, files[i], err);
        if (rc == 0 && rename(temporary, path) != 0)
                rc = err_set_errno(err, errno, "%s", path);
        if (rc < 0)
                (void)unlink(temporary);
        return rc;
}

int disk_read(const char *path, enum disk_file file, uint8_t **ret_data, size_t *ret_len,
              struct err *err)
{
        char source[64];
        const char *const argv[] = {"mcopy", "-i", path, source, "-", NULL};
        const struct tool tool = {
            .package = "mtools", .argv = argv, .stdin_fd = -1, .stdout_fd = -1};
        int rc;

        if (access(path, R_OK) != 0)
                return err_set_errno(err, errno, "%s", path);
        (void)snprintf(source, sizeof(source), "::%s", disk_paths[file]);
        rc = tool_capture(&tool, DISK_FILE_MAX, ret_data, ret_len, err);
        return rc < 0 ? err_wrap(err, "%s of %s", disk_paths[file], path) : 0;
}

int disk_compress(struct bytes data, uint8_t **ret_data, size_t *ret_len, struct err *err)
{
        static const char *const argv[] = {"gzip", "-n", "-6", NULL};
        AUTO_FD int input = memfd_create("input", MFD_CLOEXEC);
        const struct tool tool = {
            .package = "gzip", .argv = argv, .stdin_fd = input, .stdout_fd = -1};
        int rc;

        if (input < 0)
                return err_set_errno(err, errno, "memfd_create");
        rc = fd_write_all(input, data.data, data.len, err);
        if (rc == 0 && lseek(input, 0, SEEK_SET) != 0)
                rc = err_set_errno(err, errno, "gzip");
        return rc == 0 ? tool_capture(&tool, DISK_FILE_MAX, ret_data, ret_len, err) : rc;
}
