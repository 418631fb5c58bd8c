/*
 * The programs that are installed beside this one.
 */
#ifndef SWTPM_BESIDE_H
#define SWTPM_BESIDE_H

#include <limits.h>

#include "base/err.h"

/* The path of the program with this name; links to us are followed. ERR_NOT_FOUND. */
int beside_path(const char *name, char ret_path[PATH_MAX], struct err *err) MUST_CHECK;

#endif
