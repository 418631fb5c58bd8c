#include "lib/test.h"

#include "image/elfinfo.h"

#include <elf.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/macro.h"

#define STRINGS "\0libone.so.1\0libtwo.so.2"
#define BASE    0x400000 /* where the file is loaded */

/* A whole file: header, four program headers, loader's path, dynamic table, strings. */
struct image {
        Elf64_Ehdr header;
        Elf64_Phdr segment[3];
        char interpreter[32];
        Elf64_Dyn dynamic[5];
        char strings[sizeof(STRINGS)];
};

static struct image good_image(void)
{
        struct image m = {
            .header = {.e_machine = EM_X86_64,
                       .e_phoff = offsetof(struct image, segment),
                       .e_phentsize = sizeof(Elf64_Phdr),
                       .e_phnum = 3},
            .segment = {{.p_type = PT_LOAD, .p_vaddr = BASE, .p_filesz = sizeof(m)},
                        {.p_type = PT_INTERP,
                         .p_offset = offsetof(struct image, interpreter),
                         .p_filesz = sizeof("/lib64/ld.so")},
                        {.p_type = PT_DYNAMIC,
                         .p_offset = offsetof(struct image, dynamic),
                         .p_filesz = sizeof(m.dynamic)}},
            .interpreter = "/lib64/ld.so",
            .dynamic = {{.d_tag = DT_NEEDED, .d_un.d_val = 1},
                        {.d_tag = DT_NEEDED, .d_un.d_val = 13},
                        {.d_tag = DT_STRTAB, .d_un.d_ptr = BASE + offsetof(struct image, strings)},
                        {.d_tag = DT_STRSZ, .d_un.d_val = sizeof(STRINGS)},
                        {.d_tag = DT_NULL}},
            .strings = STRINGS,
        };

        memcpy(m.header.e_ident, ELFMAG, SELFMAG);
        m.header.e_ident[EI_CLASS] = ELFCLASS64;
        m.header.e_ident[EI_DATA] = ELFDATA2LSB;
        return m;
}

static void test_names(void **state)
{
        struct image image = good_image();
        struct elfinfo info;
        struct err err = {0};

        (void)state;
        assert_ok(elfinfo_parse((struct bytes){(uint8_t *)&image, sizeof(image)}, &info, &err),
                  &err);
        assert_string_equal(info.interpreter, "/lib64/ld.so");
        assert_int_equal(info.n_needed, 2);
        assert_string_equal(info.needed[0], "libone.so.1");
        assert_string_equal(info.needed[1], "libtwo.so.2");
}

static void test_static_program(void **state)
{
        struct image image = good_image();
        struct elfinfo info;
        struct err err = {0};

        (void)state;
        image.header.e_phnum = 1;
        assert_ok(elfinfo_parse((struct bytes){(uint8_t *)&image, sizeof(image)}, &info, &err),
                  &err);
        assert_null(info.interpreter);
        assert_int_equal(info.n_needed, 0);
}

static void test_real_program(void **state)
{
        AUTO_FREE uint8_t *data = NULL;
        struct elfinfo info;
        struct err err = {0};
        size_t len;

        (void)state;
        assert_ok(fs_read_file("/usr/bin/true", 1U << 20, &data, &len, &err), &err);
        assert_ok(elfinfo_parse((struct bytes){data, len}, &info, &err), &err);
        assert_string_equal(info.interpreter, "/lib64/ld-linux-x86-64.so.2");
        assert_int_equal(info.n_needed, 1);
        assert_string_equal(info.needed[0], "libc.so.6");
}

#define FIELD(member) offsetof(struct image, member), sizeof(((struct image *)NULL)->member)

static const struct {
        const char *name;
        size_t offset;
        size_t bytes;
        uint64_t value;
        int code;
} bad_rows[] = {
    {"no magic", 0, 1, 0, ERR_MALFORMED},
    {"32 bit", EI_CLASS, 1, ELFCLASS32, ERR_UNSUPPORTED},
    {"big endian", EI_DATA, 1, ELFDATA2MSB, ERR_UNSUPPORTED},
    {"another machine", FIELD(header.e_machine), EM_AARCH64, ERR_UNSUPPORTED},
    {"small program headers", FIELD(header.e_phentsize), 32, ERR_MALFORMED},
    {"65535 program headers", FIELD(header.e_phnum), 65535, ERR_MALFORMED},
    {"program headers behind the end", FIELD(header.e_phoff), sizeof(struct image), ERR_MALFORMED},
    {"program headers at the top", FIELD(header.e_phoff), UINT64_MAX, ERR_MALFORMED},
    {"loader behind the end", FIELD(segment[1].p_offset), sizeof(struct image), ERR_MALFORMED},
    {"loader of 16 EiB", FIELD(segment[1].p_filesz), UINT64_MAX, ERR_MALFORMED},
    {"loader without an end", FIELD(segment[1].p_filesz), 4, ERR_MALFORMED},
    {"loader empty", FIELD(interpreter[0]), 0, ERR_MALFORMED},
    {"dynamic table at the top", FIELD(segment[2].p_offset), UINT64_MAX, ERR_MALFORMED},
    {"dynamic table without an end", FIELD(segment[2].p_filesz), 64, ERR_MALFORMED},
    {"strings not loaded", FIELD(dynamic[2].d_un.d_ptr), 0, ERR_MALFORMED},
    {"strings at the top", FIELD(dynamic[2].d_un.d_ptr), UINT64_MAX, ERR_MALFORMED},
    {"strings of 16 EiB", FIELD(dynamic[3].d_un.d_val), UINT64_MAX, ERR_MALFORMED},
    {"name behind the strings", FIELD(dynamic[0].d_un.d_val), sizeof(STRINGS), ERR_MALFORMED},
    {"name at the top", FIELD(dynamic[0].d_un.d_val), UINT64_MAX, ERR_MALFORMED},
    {"name empty", FIELD(dynamic[0].d_un.d_val), 0, ERR_MALFORMED},
    {"name without an end", FIELD(dynamic[3].d_un.d_val), 20, ERR_MALFORMED},
    {"segment that wraps", FIELD(segment[0].p_offset), UINT64_MAX - 8, ERR_MALFORMED},
    {"library path of its own", FIELD(dynamic[1].d_tag), DT_RUNPATH, ERR_UNSUPPORTED},
    {"old library path of its own", FIELD(dynamic[1].d_tag), DT_RPATH, ERR_UNSUPPORTED},
};

static void test_bad(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad_rows); i++) {
                struct elfinfo info = {.n_needed = 4711};
                struct image image = good_image();
                struct err err = {0};
                int rc;

                memcpy((uint8_t *)&image + bad_rows[i].offset, &bad_rows[i].value,
                       bad_rows[i].bytes);
                rc = elfinfo_parse((struct bytes){(uint8_t *)&image, sizeof(image)}, &info, &err);
                if (rc != bad_rows[i].code)
                        fail_msg("%s: %d, wanted %d", bad_rows[i].name, rc, bad_rows[i].code);
                assert_int_equal(info.n_needed, 4711);
                assert_string_not_equal(err.text, "");
        }
}

static void test_cut(void **state)
{
        struct image image = good_image();
        struct elfinfo info;

        (void)state;
        for (size_t len = 0; len < offsetof(struct image, strings) + sizeof(STRINGS); len++) {
                uint8_t *copy = malloc(len + 1);
                struct err err = {0};

                assert_non_null(copy);
                memcpy(copy, &image, len);
                if (elfinfo_parse((struct bytes){copy, len}, &info, &err) != ERR_MALFORMED)
                        fail_msg("a file of %zu bytes was taken", len);
                free(copy);
        }
}

static void test_too_many_libraries(void **state)
{
        static Elf64_Dyn table[ELFINFO_NEEDED_MAX + 2];
        struct image image = good_image();
        uint8_t *file = malloc(sizeof(image) + sizeof(table));
        struct elfinfo info;
        struct err err = {0};

        (void)state;
        assert_non_null(file);
        for (size_t i = 0; i <= ELFINFO_NEEDED_MAX; i++)
                table[i] = (Elf64_Dyn){.d_tag = DT_NEEDED, .d_un.d_val = 1};
        image.segment[2].p_offset = sizeof(image);
        image.segment[2].p_filesz = sizeof(table);
        memcpy(file, &image, sizeof(image));
        memcpy(file + sizeof(image), table, sizeof(table));
        assert_int_equal(
            elfinfo_parse((struct bytes){file, sizeof(image) + sizeof(table)}, &info, &err),
            ERR_LIMIT);
        free(file);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_names),        cmocka_unit_test(test_static_program),
            cmocka_unit_test(test_real_program), cmocka_unit_test(test_bad),
            cmocka_unit_test(test_cut),          cmocka_unit_test(test_too_many_libraries),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
