/*
 * What GRUB measures while it runs a configuration: every command into PCR 8, the kernel's
 * command line too, every file into PCR 9 (GRUB manual, "Measuring boot components"). Understands
 * the plain scripts that the image builder writes and refuses everything else: a script that is
 * half understood would predict wrong values. Pure.
 */
#ifndef IMAGE_GRUBSCRIPT_H
#define IMAGE_GRUBSCRIPT_H

#include <stddef.h>

#include "base/err.h"
#include "base/reader.h"

#define GRUBSCRIPT_EVENTS_MAX 128
#define GRUBSCRIPT_TEXT_MAX   2048 /* bytes of a line, with the NUL */
#define GRUBSCRIPT_PCR_TEXT   8    /* commands and command lines */
#define GRUBSCRIPT_PCR_FILE   9

enum grubscript_kind {
        GRUBSCRIPT_COMMAND,      /* the event says "grub_cmd: " before it */
        GRUBSCRIPT_COMMAND_LINE, /* the event says "kernel_cmdline: " before it */
        GRUBSCRIPT_FILE,         /* the event is the path; what is hashed is the file */
};

struct grubscript_event {
        enum grubscript_kind kind;
        char text[GRUBSCRIPT_TEXT_MAX];
};

struct grubscript {
        struct grubscript_event event[GRUBSCRIPT_EVENTS_MAX]; /* in the order of the boot */
        size_t n;
};

/*
 * Reads the text of a grub.cfg. ERR_UNSUPPORTED names the line that uses quotes, variables,
 * blocks or an unknown command; ERR_MALFORMED where the script does not boot a kernel.
 */
int grubscript_parse(struct bytes text, struct grubscript *ret_script, struct err *err) MUST_CHECK;

#endif
