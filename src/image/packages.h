/*
 * Which Debian packages, in which versions, the files of an initramfs come from.
 */
#ifndef IMAGE_PACKAGES_H
#define IMAGE_PACKAGES_H

#include <jansson.h>

#include "base/err.h"
#include "image/fileset.h"

/*
 * An object of package names and versions, asked from dpkg; our own files and those of no package
 * are left out. Give it back with json_decref().
 */
int packages_of(const struct fileset *set, json_t **ret_packages, struct err *err) MUST_CHECK;

#endif
