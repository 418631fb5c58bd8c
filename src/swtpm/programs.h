/*
 * The programs by their names. Each takes the arguments behind its name; errors are for the caller
 * to print.
 */
#ifndef SWTPM_PROGRAMS_H
#define SWTPM_PROGRAMS_H

#include "base/err.h"

/* "swtpm socket ...": serves one vTPM until it is told to end. */
int program_swtpm(int argc, char *const *argv, struct err *err) MUST_CHECK;

/* "swtpm_setup ...": makes a vTPM with its keys and certificates, or changes its PCR banks. */
int program_setup(int argc, char *const *argv, struct err *err) MUST_CHECK;

/* "swtpm_ioctl ...": one request to a control socket. */
int program_ioctl(int argc, char *const *argv, struct err *err) MUST_CHECK;

/* "catena-swtpm import|export DIR": a state directory of swtpm's, to ours and back. */
int program_import(int argc, char *const *argv, struct err *err) MUST_CHECK;
int program_export(int argc, char *const *argv, struct err *err) MUST_CHECK;

#endif
