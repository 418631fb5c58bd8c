#include "image/pe.h"

#include <stdbool.h>
#include <string.h>

#define DOS_LFANEW      60
#define MAGIC_PE32      0x10b
#define MAGIC_PE32_PLUS 0x20b
#define CHECKSUM_OFFSET 64 /* in the optional header, both kinds */
#define SECURITY_ENTRY  4  /* index of the certificate table in the data directory */
#define DIRECTORY_SIZE  8
#define SECTION_SIZE    40
#define OPTIONAL_MAX    4096

struct section {
        uint32_t offset;
        uint32_t size;
};

struct pe {
        struct bytes image;
        size_t optional; /* offset of the optional header */
        size_t optional_size;
        size_t sections; /* offset of the section table */
        uint16_t n_sections;
        uint32_t headers_size;
        size_t security; /* offset of the directory entry, 0 if there is none */
        uint32_t certificates_size;
        struct section section[PE_SECTIONS_MAX];
        struct err *err;
};

static int malformed(const struct pe *pe, const char *what, size_t offset)
{
        return err_set(pe->err, ERR_MALFORMED, "PE image: %s at %zu", what, offset);
}

/* DOS stub, signature and COFF header up to the optional header. */
static int read_coff(struct pe *pe)
{
        struct reader r = reader_from_bytes(pe->image);
        uint32_t lfanew;
        uint32_t signature;
        uint16_t optional_size;
        uint16_t mz;

        if (reader_get_le16(&r, &mz) < 0 || mz != 0x5a4d)
                return malformed(pe, "no MZ", 0);
        if (reader_skip(&r, DOS_LFANEW - 2) < 0 || reader_get_le32(&r, &lfanew) < 0)
                return malformed(pe, "DOS header cut off", reader_offset(&r));
        r = reader_from_bytes(pe->image);
        if (reader_skip(&r, lfanew) < 0 || reader_get_le32(&r, &signature) < 0 ||
            signature != 0x4550 || reader_skip(&r, 2) < 0 ||
            reader_get_le16(&r, &pe->n_sections) < 0 || reader_skip(&r, 12) < 0 ||
            reader_get_le16(&r, &optional_size) < 0 || reader_skip(&r, 2) < 0)
                return malformed(pe, "no COFF header", lfanew);
        if (pe->n_sections > PE_SECTIONS_MAX || optional_size > OPTIONAL_MAX)
                return malformed(pe, "too many sections or too long a header", lfanew);
        pe->optional = reader_offset(&r);
        pe->optional_size = optional_size;
        pe->sections = pe->optional + optional_size;
        return 0;
}

/* The data directory's certificate entry, if the optional header has so many entries. */
static int read_security(struct pe *pe, struct reader *r, size_t directory)
{
        uint32_t entries;

        if (reader_skip(r, directory - 4 - (CHECKSUM_OFFSET + 4)) < 0 ||
            reader_get_le32(r, &entries) < 0)
                return malformed(pe, "optional header cut off", reader_offset(r));
        if (entries <= SECURITY_ENTRY)
                return 0;
        if (reader_skip(r, SECURITY_ENTRY * (size_t)DIRECTORY_SIZE) < 0)
                return malformed(pe, "data directory cut off", reader_offset(r));
        pe->security = reader_offset(r);
        if (reader_skip(r, 4) < 0 || reader_get_le32(r, &pe->certificates_size) < 0)
                return malformed(pe, "data directory cut off", reader_offset(r));
        return 0;
}

static int read_optional(struct pe *pe)
{
        struct reader r = reader_from_bytes(pe->image);
        struct reader optional;
        uint16_t magic;

        if (reader_skip(&r, pe->optional) < 0 ||
            reader_get_child(&r, pe->optional_size, &optional) < 0 ||
            reader_get_le16(&optional, &magic) < 0)
                return malformed(pe, "no optional header", pe->optional);
        if (magic != MAGIC_PE32 && magic != MAGIC_PE32_PLUS)
                return malformed(pe, "unknown optional header", pe->optional);
        /* SizeOfHeaders stands right before CheckSum in both kinds. */
        if (reader_skip(&optional, CHECKSUM_OFFSET - 4 - 2) < 0 ||
            reader_get_le32(&optional, &pe->headers_size) < 0 || reader_skip(&optional, 4) < 0)
                return malformed(pe, "optional header cut off", reader_offset(&optional));
        return read_security(pe, &optional, magic == MAGIC_PE32 ? 96 : 112);
}

/* The section table; the sections are kept in the order of their place in the file. */
static int read_sections(struct pe *pe)
{
        struct reader r = reader_from_bytes(pe->image);
        struct section s;
        size_t at;

        if (reader_skip(&r, pe->sections) < 0)
                return malformed(pe, "no section table", pe->sections);
        for (size_t i = 0; i < pe->n_sections; i++) {
                if (reader_skip(&r, 16) < 0 || reader_get_le32(&r, &s.size) < 0 ||
                    reader_get_le32(&r, &s.offset) < 0 || reader_skip(&r, SECTION_SIZE - 24) < 0)
                        return malformed(pe, "section table cut off", reader_offset(&r));
                for (at = i; at > 0 && pe->section[at - 1].offset > s.offset; at--)
                        pe->section[at] = pe->section[at - 1];
                pe->section[at] = s;
        }
        return 0;
}

static int add_range(struct pe *pe, struct pe_ranges *ranges, size_t from, size_t len,
                     const char *what)
{
        if (from > pe->image.len || len > pe->image.len - from)
                return malformed(pe, what, from);
        if (len > 0)
                ranges->range[ranges->n++] = (struct bytes){pe->image.data + from, len};
        return 0;
}

/* Headers without CheckSum and without the certificate directory entry. */
static int add_headers(struct pe *pe, struct pe_ranges *ranges)
{
        size_t checksum = pe->optional + CHECKSUM_OFFSET;
        size_t skip = pe->security != 0 ? pe->security : checksum + 4;
        size_t after = pe->security != 0 ? pe->security + DIRECTORY_SIZE : checksum + 4;
        int rc;

        if (pe->headers_size < after || pe->headers_size > pe->image.len)
                return malformed(pe, "size of headers", pe->headers_size);
        rc = add_range(pe, ranges, 0, checksum, "headers");
        if (rc == 0)
                rc = add_range(pe, ranges, checksum + 4, skip - (checksum + 4), "headers");
        if (rc == 0)
                rc = add_range(pe, ranges, after, pe->headers_size - after, "headers");
        return rc;
}

/* Firmware counts what it has hashed; the rest of the file follows, without certificates. */
static int add_rest(struct pe *pe, struct pe_ranges *ranges, uint64_t hashed)
{
        uint64_t certificates = pe->certificates_size;

        if (hashed > pe->image.len || certificates > pe->image.len - hashed)
                return hashed == pe->image.len && certificates == 0
                           ? 0
                           : malformed(pe, "certificate table", (size_t)hashed);
        return add_range(pe, ranges, (size_t)hashed,
                         pe->image.len - (size_t)hashed - (size_t)certificates, "rest");
}

int pe_parse(struct bytes image, struct pe_ranges *ret_ranges, struct err *err)
{
        struct pe pe = {.image = image, .err = err};
        struct pe_ranges ranges = {.n = 0};
        uint64_t hashed;
        int rc;

        rc = read_coff(&pe);
        if (rc == 0)
                rc = read_optional(&pe);
        if (rc == 0)
                rc = read_sections(&pe);
        if (rc == 0)
                rc = add_headers(&pe, &ranges);
        hashed = pe.headers_size;
        for (size_t i = 0; rc == 0 && i < pe.n_sections; i++) {
                rc = add_range(&pe, &ranges, pe.section[i].offset, pe.section[i].size, "section");
                hashed += pe.section[i].size;
        }
        if (rc == 0)
                rc = add_rest(&pe, &ranges, hashed);
        if (rc < 0)
                return rc;
        *ret_ranges = ranges;
        return 0;
}

int pe_digest(struct bytes image, const struct hash_alg *alg, uint8_t *ret_digest, struct err *err)
{
        struct pe_ranges ranges;
        int rc;

        rc = pe_parse(image, &ranges, err);
        if (rc < 0)
                return rc;
        return hash_digest_parts(alg, ranges.range, ranges.n, ret_digest, err);
}
