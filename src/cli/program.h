/*
 * Where our other programs are: beside this one in a build directory, in ../libexec when
 * installed.
 */
#ifndef CLI_PROGRAM_H
#define CLI_PROGRAM_H

#include <limits.h>

#include "base/err.h"

/* Errors: ERR_NOT_FOUND. */
int program_path(const char *name, char ret_path[PATH_MAX], struct err *err) MUST_CHECK;

#endif
