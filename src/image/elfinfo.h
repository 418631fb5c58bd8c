/*
 * Which loader and which shared libraries an x86-64 ELF program or library asks for. Reads the
 * program headers and the dynamic table only, through the bounded reader. Pure.
 */
#ifndef IMAGE_ELFINFO_H
#define IMAGE_ELFINFO_H

#include <stddef.h>

#include "base/err.h"
#include "base/reader.h"

#define ELFINFO_NEEDED_MAX   64
#define ELFINFO_SEGMENTS_MAX 64
#define ELFINFO_DYNAMIC_MAX  4096 /* entries of the dynamic table */
#define ELFINFO_NAME_MAX     255  /* characters of a library's name or of the loader's path */

struct elfinfo {
        const char *interpreter; /* path of the loader, or NULL (static, or a library) */
        const char *needed[ELFINFO_NEEDED_MAX]; /* in the order of the table, which is load order */
        size_t n_needed;
};

/*
 * Reads ELF64 little-endian x86-64 (gABI 4.1, chapters 4 and 5). The names in *ret_info point
 * into file. ERR_MALFORMED names the offset; ERR_UNSUPPORTED for another class or machine, and
 * for DT_RPATH or DT_RUNPATH, which would send the loader to directories that we do not fill.
 */
int elfinfo_parse(struct bytes file, struct elfinfo *ret_info, struct err *err) MUST_CHECK;

#endif
