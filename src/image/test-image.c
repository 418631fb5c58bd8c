/*
 * The builder on a kernel package that is none: small files under the right names.
 */
#include "lib/test.h"

#include "image/image.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hex.h"
#include "base/macro.h"
#include "image/disk.h"
#include "image/guest.h"
#include "image/kernel.h"
#include "image/predict.h"
#include "image/tool.h"

#define RELEASE "6.1.0-0-test"
#define MODULES "lib/modules/" RELEASE "/kernel/drivers/"

static const char *in_dir(const char *name)
{
        static char path[8][PATH_MAX];
        static unsigned next;
        char *out = path[next++ % 8];

        (void)snprintf(out, PATH_MAX, "%s/%s", test_dir(), name);
        return out;
}

static void put(const char *name, const void *data, size_t len)
{
        char dir[PATH_MAX];
        struct err err = {0};

        (void)snprintf(dir, sizeof(dir), "%s", in_dir(name));
        *strrchr(dir, '/') = '\0';
        assert_ok(fs_make_dir(dir, 0755, &err), &err);
        assert_ok(fs_write_file(in_dir(name), data, len, 0644, &err), &err);
}

/* A bzImage as far as its version text (Linux boot protocol: at 0x20e, less 0x200). */
static void make_kernel(void)
{
        static const char *const modules[] = {
            MODULES "virtio/virtio_ring.ko",
            MODULES "virtio/virtio.ko",
            MODULES "virtio/virtio_pci_legacy_dev.ko",
            MODULES "virtio/virtio_pci_modern_dev.ko",
            MODULES "virtio/virtio_pci.ko",
            MODULES "char/virtio_console.ko",
        };
        char kernel[0x600] = {0};
        char name[PATH_MAX];

        kernel[0x20e] = 0x00;
        kernel[0x20f] = 0x02;
        memcpy(kernel + 0x400, "6.1.0 (debian)", sizeof("6.1.0 (debian)"));
        put("kernel/boot/vmlinuz-" RELEASE, kernel, sizeof(kernel));
        for (size_t i = 0; i < ARRAY_SIZE(modules); i++) {
                (void)snprintf(name, sizeof(name), "kernel/%s", modules[i]);
                put(name, modules[i], strlen(modules[i]));
        }
}

static struct image_request good_request(void)
{
        static const char *const programs[] = {"/usr/bin/true", NULL};

        return (struct image_request){
            .out = in_dir("guest.img"),
            .agent = "/usr/bin/uname",
            .kernel_dir = in_dir("kernel"),
            .programs = programs,
        };
}

static struct bytes load(const char *path)
{
        struct err err = {0};
        uint8_t *data = NULL;
        size_t len = 0;

        assert_ok(fs_read_file(path, 256U << 20, &data, &len, &err), &err);
        return (struct bytes){data, len};
}

static void assert_same_files(const char *a, const char *b)
{
        struct bytes one = load(a);
        struct bytes two = load(b);

        assert_true(bytes_equal(one, two));
        free((void *)(uintptr_t)one.data);
        free((void *)(uintptr_t)two.data);
}

/* Inputs of another day, as a second download has them. */
static int age(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
        const struct timespec times[] = {{.tv_sec = 1000000001}, {.tv_sec = 1000000001}};

        (void)st;
        (void)flag;
        (void)ftw;
        return utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
}

static uint16_t le16(const uint8_t *at)
{
        return (uint16_t)(at[0] | at[1] << 8);
}

/*
 * All times of a directory entry (FAT: creation at 14, access at 18, write at 22) are the image's.
 * That does not depend on when the test runs, as a second build a moment later would: FAT's times
 * have a resolution of two seconds.
 */
static void assert_fixed_times(const uint8_t *entry)
{
        const time_t epoch = (time_t)strtoll(IMAGE_EPOCH, NULL, 10);
        struct tm tm;
        unsigned date;
        unsigned hour;

        assert_non_null(gmtime_r(&epoch, &tm));
        date = (unsigned)((tm.tm_year - 80) << 9 | (tm.tm_mon + 1) << 5 | tm.tm_mday);
        hour = (unsigned)(tm.tm_hour << 11 | tm.tm_min << 5 | tm.tm_sec / 2);
        assert_int_equal(entry[13], 0);
        assert_int_equal(le16(entry + 14), hour);
        assert_int_equal(le16(entry + 16), date);
        assert_int_equal(le16(entry + 18), date);
        assert_int_equal(le16(entry + 22), hour);
        assert_int_equal(le16(entry + 24), date);
}

/* gzip's header (RFC 1952, 2.3): MTIME at 4, and no file name. */
static void assert_no_time_in_initrd(void)
{
        static const uint8_t header[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0};
        struct err err = {0};
        uint8_t *data = NULL;
        size_t len = 0;

        assert_ok(disk_read(in_dir("guest.img"), DISK_INITRD, &data, &len, &err), &err);
        assert_true(len > sizeof(header));
        assert_memory_equal(data, header, sizeof(header));
        free(data);
}

static void test_no_clock_in_the_image(void **state)
{
        static const char *const names[] = {"EFI        ", "BOOT       ", "BOOTX64 EFI",
                                            "GRUB    CFG", "VMLINUZ    ", "INITRD  GZ "};
        struct image_request request = good_request();
        struct err err = {0};
        struct bytes image;

        (void)state;
        assert_ok(image_build(&request, &err), &err);
        image = load(in_dir("guest.img"));
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                unsigned found = 0;

                for (size_t at = 0; at + 32 <= image.len; at += 32)
                        if (memcmp(image.data + at, names[i], 11) == 0) {
                                assert_fixed_times(image.data + at);
                                found++;
                        }
                if (found == 0)
                        fail_msg("no %s in the image", names[i]);
        }
        free((void *)(uintptr_t)image.data);
        assert_no_time_in_initrd();
}

static void test_same_bytes(void **state)
{
        struct image_request request = good_request();
        struct err err = {0};

        (void)state;
        assert_ok(image_build(&request, &err), &err);
        assert_int_equal(nftw(in_dir("kernel"), age, 16, FTW_PHYS), 0);
        request = good_request();
        request.out = in_dir("again.img");
        assert_ok(image_build(&request, &err), &err);
        assert_same_files(in_dir("guest.img"), in_dir("again.img"));
        assert_same_files(in_dir("guest.img" IMAGE_MANIFEST_SUFFIX),
                          in_dir("again.img" IMAGE_MANIFEST_SUFFIX));
}

/* The order that kernel, loader and agent follow. */
static void test_measured_order(void **state)
{
        static const char *const expected[] = {
            "/init",
            "/lib64/ld-linux-x86-64.so.2",
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/etc/catena/modules",
            "/lib/modules/virtio_ring.ko",
            "/lib/modules/virtio.ko",
            "/lib/modules/virtio_pci_legacy_dev.ko",
            "/lib/modules/virtio_pci_modern_dev.ko",
            "/lib/modules/virtio_pci.ko",
            "/lib/modules/virtio_console.ko",
            "/etc/catena/programs",
            "/bin/true",
        };
        AUTO_FREE struct prediction *prediction = NULL;
        struct err err = {0};

        (void)state;
        assert_ok(predict_image(in_dir("guest.img"), &prediction, &err), &err);
        assert_int_equal(prediction->n_ima, ARRAY_SIZE(expected));
        for (size_t i = 0; i < prediction->n_ima; i++)
                assert_string_equal(prediction->ima[i].path, expected[i]);
}

static const struct {
        const char *name;
        const char *agent;
        const char *kernel;
        const char *cmdline;
        const char *program;
        const char *out;
        int code;
        const char *words;
} refused_rows[] = {
    {.name = "no agent", .agent = "/nonexistent/agent", .code = ERR_NOT_FOUND, .words = "agent"},
    {.name = "agent is text", .agent = "/etc/passwd", .code = ERR_MALFORMED, .words = "not an ELF"},
    {.name = "no program", .program = "/nonexistent/p", .code = ERR_NOT_FOUND, .words = "/p"},
    {.name = "no kernel", .kernel = "/nonexistent", .code = ERR_NOT_FOUND, .words = "boot"},
    {.name = "empty command line", .cmdline = "", .code = ERR_USAGE, .words = "command line"},
    {.name = "second command", .cmdline = "a\nboot", .code = ERR_USAGE, .words = "command line"},
    {.name = "variable", .cmdline = "a=$b", .code = ERR_USAGE, .words = "command line"},
    {.name = "block", .cmdline = "a } b", .code = ERR_USAGE, .words = "command line"},
    {.name = "double space", .cmdline = "a  b", .code = ERR_USAGE, .words = "command line"},
    {.name = "leading space", .cmdline = " a", .code = ERR_USAGE, .words = "command line"},
    {.name = "no directory", .out = "/nonexistent/x.img", .code = ERR_NOT_FOUND, .words = "x.img"},
};

static void test_refused(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(refused_rows); i++) {
                const char *programs[] = {refused_rows[i].program, NULL};
                struct image_request request = good_request();
                struct err err = {0};
                int rc;

                request.out = refused_rows[i].out == NULL ? in_dir("bad.img") : refused_rows[i].out;
                request.cmdline = refused_rows[i].cmdline;
                if (refused_rows[i].agent != NULL)
                        request.agent = refused_rows[i].agent;
                if (refused_rows[i].kernel != NULL)
                        request.kernel_dir = refused_rows[i].kernel;
                if (refused_rows[i].program != NULL)
                        request.programs = programs;
                rc = image_build(&request, &err);
                if (rc != refused_rows[i].code || strstr(err.text, refused_rows[i].words) == NULL)
                        fail_msg("%s: %d %s", refused_rows[i].name, rc, err.text);
                assert_int_not_equal(access(in_dir("bad.img"), F_OK), 0);
        }
}

static void test_missing_module(void **state)
{
        struct image_request request = good_request();
        struct err err = {0};

        (void)state;
        assert_int_equal(unlink(in_dir("kernel/" MODULES "virtio/virtio.ko")), 0);
        request.out = in_dir("bad.img");
        assert_int_equal(image_build(&request, &err), ERR_NOT_FOUND);
        assert_non_null(strstr(err.text, "virtio.ko"));
        make_kernel();
}

static void test_two_kernels(void **state)
{
        struct kernel kernel = {.release = "poison"};
        struct err err = {0};

        (void)state;
        put("two/boot/vmlinuz-1", "", 0);
        put("two/boot/vmlinuz-2", "", 0);
        assert_int_equal(kernel_open(in_dir("two"), &kernel, &err), ERR_CONFLICT);
        put("none/boot/config-1", "", 0);
        assert_int_equal(kernel_open(in_dir("none"), &kernel, &err), ERR_NOT_FOUND);
        assert_string_equal(kernel.release, "poison");
}

static const struct {
        enum image_tamper tamper;
        enum disk_file file;
} tamper_rows[] = {
    {IMAGE_TAMPER_GRUB, DISK_GRUB},
    {IMAGE_TAMPER_KERNEL, DISK_KERNEL},
    {IMAGE_TAMPER_CMDLINE, DISK_GRUB_CFG},
    {IMAGE_TAMPER_INITRD, DISK_INITRD},
};

/* One file differs and the others do not. */
static void test_tamper(void **state)
{
        struct err err = {0};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(tamper_rows); i++) {
                assert_ok(image_tamper(in_dir("guest.img"), in_dir("bad.img"),
                                       tamper_rows[i].tamper, &err),
                          &err);
                for (int file = 0; file < DISK_FILES; file++) {
                        AUTO_FREE uint8_t *good = NULL;
                        AUTO_FREE uint8_t *bad = NULL;
                        struct bytes a;
                        struct bytes b;

                        assert_ok(disk_read(in_dir("guest.img"), (enum disk_file)file, &good,
                                            &a.len, &err),
                                  &err);
                        assert_ok(
                            disk_read(in_dir("bad.img"), (enum disk_file)file, &bad, &b.len, &err),
                            &err);
                        a.data = good;
                        b.data = bad;
                        assert_int_equal(bytes_equal(a, b), file != (int)tamper_rows[i].file);
                }
        }
        assert_int_equal(unlink(in_dir("bad.img")), 0);
}

static void test_bad_disk(void **state)
{
        AUTO_FREE uint8_t *data = NULL;
        struct err err = {0};
        size_t len;

        (void)state;
        assert_int_equal(disk_read(in_dir("missing.img"), DISK_GRUB, &data, &len, &err),
                         ERR_NOT_FOUND);
        put("zero.img", "no file system", 14);
        assert_int_equal(disk_read(in_dir("zero.img"), DISK_GRUB, &data, &len, &err), ERR_FAILED);
        assert_null(data);
        assert_int_equal(
            image_tamper(in_dir("zero.img"), in_dir("bad.img"), IMAGE_TAMPER_GRUB, &err),
            ERR_FAILED);
        /* Under another name, too: the image would be gone. */
        assert_int_equal(link(in_dir("zero.img"), in_dir("same.img")), 0);
        assert_int_equal(
            image_tamper(in_dir("zero.img"), in_dir("same.img"), IMAGE_TAMPER_GRUB, &err),
            ERR_USAGE);
}

static const struct {
        const char *text;
        int code;
} manifest_rows[] = {
    {"", ERR_MALFORMED},
    {"[]", ERR_UNSUPPORTED},
    {"{\"schema\":2}", ERR_UNSUPPORTED},
    {"{\"schema\":1}", ERR_MALFORMED},
    {"{\"schema\":1,\"schema\":1}", ERR_MALFORMED},
    {"{\"schema\":1,\"files\":[{\"path\":\"/initrd.gz\",\"sha256\":\"00\"}]}", ERR_MALFORMED},
    {"{\"schema\":1,\"files\":[{\"path\":\"/initrd.gz\",\"sha256\":7}]}", ERR_MALFORMED},
};

static void test_bad_manifest(void **state)
{
        struct bytes image = load(in_dir("guest.img"));

        (void)state;
        put("copy.img", image.data, image.len);
        for (size_t i = 0; i < ARRAY_SIZE(manifest_rows); i++) {
                struct prediction *prediction = NULL;
                struct err err = {0};
                int rc;

                put("copy.img" IMAGE_MANIFEST_SUFFIX, manifest_rows[i].text,
                    strlen(manifest_rows[i].text));
                rc = predict_image(in_dir("copy.img"), &prediction, &err);
                if (rc != manifest_rows[i].code)
                        fail_msg("%s: %d %s", manifest_rows[i].text, rc, err.text);
                assert_null(prediction);
        }
        free((void *)(uintptr_t)image.data);
}

static int set_up(void **state)
{
        (void)state;
        make_kernel();
        return 0;
}

/* A machine without the packages: the hint names the first of them. */
static void test_missing_tools(void **state)
{
        struct err err = {0};

        (void)state;
        assert_int_equal(image_check_tools("/nonexistent", &err), ERR_NOT_FOUND);
        assert_non_null(strstr(err.text, "grub-mkimage"));
        assert_non_null(strstr(err.hint, "apt-get install grub-common"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_missing_tools), cmocka_unit_test(test_no_clock_in_the_image),
            cmocka_unit_test(test_same_bytes),    cmocka_unit_test(test_measured_order),
            cmocka_unit_test(test_refused),       cmocka_unit_test(test_missing_module),
            cmocka_unit_test(test_two_kernels),   cmocka_unit_test(test_tamper),
            cmocka_unit_test(test_bad_disk),      cmocka_unit_test(test_bad_manifest),
        };

        return cmocka_run_group_tests(tests, set_up, NULL);
}
