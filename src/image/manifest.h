/*
 * The manifest of a guest image: what is in it, where it came from and what its boot measures.
 * A JSON file beside the image; trusted as much as whoever built the image.
 */
#ifndef IMAGE_MANIFEST_H
#define IMAGE_MANIFEST_H

#include <jansson.h>

#include "base/err.h"
#include "image/disk.h"
#include "image/guest.h"
#include "image/kernel.h"

#define MANIFEST_SCHEMA 1
#define MANIFEST_MAX    (4U << 20) /* bytes */

struct manifest_facts {
        const char *cmdline;
        const struct kernel *kernel;
        const struct guest *guest;
        const struct bytes *files; /* DISK_FILES of them */
        const char *grub_cfg;
};

/* Makes the manifest; give it back with json_decref(). */
int manifest_from_facts(const struct manifest_facts *facts, json_t **ret_manifest,
                        struct err *err) MUST_CHECK;

/* Reads and checks the manifest beside image. ERR_NOT_FOUND, ERR_MALFORMED, ERR_UNSUPPORTED. */
int manifest_read(const char *image, json_t **ret_manifest, struct err *err) MUST_CHECK;

/* Writes it beside image, keys sorted. */
int manifest_write(const char *image, const json_t *manifest, struct err *err) MUST_CHECK;

#endif
