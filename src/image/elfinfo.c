#include "image/elfinfo.h"

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct segment {
        uint64_t vaddr;
        uint64_t offset;
        uint64_t size; /* in the file */
};

struct parse {
        struct bytes file;
        struct segment loads[ELFINFO_SEGMENTS_MAX];
        size_t n_loads;
        struct segment dynamic;
        struct segment interpreter;
        bool has_dynamic;
        bool has_interpreter;
        struct err *err;
};

/* A child reader over file[offset, offset + size), compared before anything is added. */
static int at_offset(const struct parse *p, uint64_t offset, uint64_t size, struct reader *ret)
{
        if (offset > p->file.len || size > p->file.len - offset)
                return err_set(p->err, ERR_MALFORMED,
                               "ELF: %llu bytes at %llu lie outside the file",
                               (unsigned long long)size, (unsigned long long)offset);
        *ret = reader_from(p->file.data + offset, (size_t)size);
        ret->base = (size_t)offset;
        return 0;
}

/* A NUL-terminated name of 1 to ELFINFO_NAME_MAX characters at pos of a string area. */
static int name_at(const struct parse *p, struct bytes area, uint64_t pos, const char **ret_name)
{
        const uint8_t *end;
        size_t room;

        if (pos >= area.len)
                return err_set(p->err, ERR_MALFORMED, "ELF: name at %llu of %zu bytes of strings",
                               (unsigned long long)pos, area.len);
        room = area.len - (size_t)pos;
        end = memchr(area.data + pos, '\0', room);
        if (end == NULL || end == area.data + pos ||
            (size_t)(end - (area.data + pos)) > ELFINFO_NAME_MAX)
                return err_set(p->err, ERR_MALFORMED, "ELF: empty or endless name");
        *ret_name = (const char *)area.data + pos;
        return 0;
}

/* Where the bytes that are loaded at vaddr lie in the file, at most to the segment's end. */
static int to_offset(const struct parse *p, uint64_t vaddr, uint64_t size, uint64_t *ret_offset)
{
        for (size_t i = 0; i < p->n_loads; i++) {
                const struct segment *s = &p->loads[i];
                uint64_t delta = vaddr - s->vaddr;

                if (vaddr < s->vaddr || delta > s->size || size > s->size - delta)
                        continue;
                if (s->offset > p->file.len || delta > p->file.len - s->offset)
                        break;
                *ret_offset = s->offset + delta;
                return 0;
        }
        return err_set(p->err, ERR_MALFORMED, "ELF: address 0x%llx is not in the file",
                       (unsigned long long)vaddr);
}

static int take_segment(struct parse *p, struct reader *r)
{
        struct segment s;
        uint64_t paddr;
        uint32_t type;
        uint32_t flags;

        if (reader_get_le32(r, &type) < 0 || reader_get_le32(r, &flags) < 0 ||
            reader_get_le64(r, &s.offset) < 0 || reader_get_le64(r, &s.vaddr) < 0 ||
            reader_get_le64(r, &paddr) < 0 || reader_get_le64(r, &s.size) < 0)
                return err_set(p->err, ERR_MALFORMED, "ELF: program header cut off at %zu",
                               reader_offset(r));
        switch (type) {
        case PT_LOAD:
                p->loads[p->n_loads++] = s;
                break;
        case PT_DYNAMIC:
                p->dynamic = s;
                p->has_dynamic = true;
                break;
        case PT_INTERP:
                p->interpreter = s;
                p->has_interpreter = true;
                break;
        default:
                break;
        }
        return 0;
}

/* e_ident, type, machine, version, entry, phoff, shoff, flags, ehsize, phentsize, phnum. */
static int read_header(struct parse *p, uint64_t *ret_phoff, uint16_t *ret_phnum)
{
        struct reader r = reader_from_bytes(p->file);
        uint8_t ident[EI_NIDENT];
        uint16_t machine;
        uint16_t phentsize;
        uint64_t phoff;
        uint16_t phnum;

        if (reader_get_copy(&r, ident, sizeof(ident)) < 0 || memcmp(ident, ELFMAG, SELFMAG) != 0)
                return err_set(p->err, ERR_MALFORMED, "not an ELF file");
        if (reader_skip(&r, 2) < 0 || reader_get_le16(&r, &machine) < 0 ||
            reader_skip(&r, 4 + 8) < 0 || reader_get_le64(&r, &phoff) < 0 ||
            reader_skip(&r, 8 + 4 + 2) < 0 || reader_get_le16(&r, &phentsize) < 0 ||
            reader_get_le16(&r, &phnum) < 0)
                return err_set(p->err, ERR_MALFORMED, "ELF: header cut off at %zu",
                               reader_offset(&r));
        if (ident[EI_CLASS] != ELFCLASS64 || ident[EI_DATA] != ELFDATA2LSB || machine != EM_X86_64)
                return err_set(p->err, ERR_UNSUPPORTED, "ELF: not for 64-bit x86");
        if (phentsize != sizeof(Elf64_Phdr) || phnum > ELFINFO_SEGMENTS_MAX)
                return err_set(p->err, ERR_MALFORMED, "ELF: %u program headers of %u bytes", phnum,
                               phentsize);
        *ret_phoff = phoff;
        *ret_phnum = phnum;
        return 0;
}

static int read_segments(struct parse *p, uint64_t phoff, uint16_t phnum)
{
        struct reader table;
        struct reader one;
        int rc;

        rc = at_offset(p, phoff, (uint64_t)phnum * sizeof(Elf64_Phdr), &table);
        for (uint16_t i = 0; rc == 0 && i < phnum; i++) {
                rc = reader_get_child(&table, sizeof(Elf64_Phdr), &one);
                if (rc == 0)
                        rc = take_segment(p, &one);
        }
        return rc;
}

struct dynamic {
        uint64_t needed[ELFINFO_NEEDED_MAX]; /* offsets in the string table */
        size_t n_needed;
        uint64_t strings;
        uint64_t strings_size;
};

static int take_entry(struct parse *p, uint64_t tag, uint64_t value, struct dynamic *d)
{
        switch (tag) {
        case DT_NEEDED:
                if (d->n_needed == ELFINFO_NEEDED_MAX)
                        return err_set(p->err, ERR_LIMIT, "ELF: more than %d libraries",
                                       ELFINFO_NEEDED_MAX);
                d->needed[d->n_needed++] = value;
                return 0;
        case DT_STRTAB:
                d->strings = value;
                return 0;
        case DT_STRSZ:
                d->strings_size = value;
                return 0;
        case DT_RPATH:
        case DT_RUNPATH:
                return err_set(p->err, ERR_UNSUPPORTED, "ELF: has a library path of its own");
        default:
                return 0;
        }
}

static int read_dynamic(struct parse *p, struct dynamic *d)
{
        struct reader r;
        uint64_t tag = DT_NULL;
        uint64_t value;
        int rc;

        rc = at_offset(p, p->dynamic.offset, p->dynamic.size, &r);
        for (size_t i = 0; rc == 0; i++) {
                if (i == ELFINFO_DYNAMIC_MAX || reader_get_le64(&r, &tag) < 0 ||
                    reader_get_le64(&r, &value) < 0)
                        return err_set(p->err, ERR_MALFORMED, "ELF: dynamic table has no end");
                if (tag == DT_NULL)
                        return 0;
                rc = take_entry(p, tag, value, d);
        }
        return rc;
}

static int read_needed(struct parse *p, struct elfinfo *info)
{
        struct dynamic d = {0};
        struct reader strings;
        uint64_t offset;
        int rc;

        rc = read_dynamic(p, &d);
        if (rc < 0 || d.n_needed == 0)
                return rc;
        rc = to_offset(p, d.strings, d.strings_size, &offset);
        if (rc == 0)
                rc = at_offset(p, offset, d.strings_size, &strings);
        for (size_t i = 0; rc == 0 && i < d.n_needed; i++)
                rc = name_at(p, (struct bytes){strings.data, strings.size}, d.needed[i],
                             &info->needed[i]);
        info->n_needed = d.n_needed;
        return rc;
}

int elfinfo_parse(struct bytes file, struct elfinfo *ret_info, struct err *err)
{
        struct parse p = {.file = file, .err = err};
        struct elfinfo info = {0};
        struct reader text;
        uint64_t phoff = 0;
        uint16_t phnum = 0;
        int rc;

        rc = read_header(&p, &phoff, &phnum);
        if (rc == 0)
                rc = read_segments(&p, phoff, phnum);
        if (rc == 0 && p.has_interpreter) {
                rc = at_offset(&p, p.interpreter.offset, p.interpreter.size, &text);
                if (rc == 0)
                        rc =
                            name_at(&p, (struct bytes){text.data, text.size}, 0, &info.interpreter);
        }
        if (rc == 0 && p.has_dynamic)
                rc = read_needed(&p, &info);
        if (rc < 0)
                return rc;
        *ret_info = info;
        return 0;
}
