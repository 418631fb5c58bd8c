/*
 * Builds the measured guest: Debian's kernel, GRUB and libraries and our agent on one EFI disk,
 * the same bytes from the same inputs, with a manifest beside it (IMAGE_MANIFEST_SUFFIX) from
 * which the measurements of its boot are predicted.
 */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include "base/err.h"
#include "image/progress.h"

#define IMAGE_MANIFEST_SUFFIX ".manifest.json"
#define IMAGE_CMDLINE         "console=ttyS0 ima_policy=tcb rootfstype=ramfs quiet"

struct image_request {
        const char *out;        /* disk to write; the manifest goes beside it */
        const char *agent;      /* catena-agent, any ELF program that keeps guest.h's contract */
        const char *kernel_dir; /* an unpacked kernel package, or NULL: Debian's, by apt */
        const char *cache;      /* for downloads, or NULL: kernel_cache_dir() */
        const char *cmdline;    /* or NULL: IMAGE_CMDLINE */
        const char *const *programs;           /* as in struct guest_request */
        const struct image_progress *progress; /* or NULL */
};

/*
 * Builds disk and manifest; each appears whole or not at all, the manifest last.
 * Errors: ERR_NOT_FOUND with a hint for a missing tool, package or file; ERR_USAGE for a command
 * line that cannot be written into grub.cfg.
 */
int image_build(const struct image_request *request, struct err *err) MUST_CHECK;

/*
 * Whether the programs that a build needs are there, below root ("" for this machine). A build
 * looks by itself; this is for who wants to know before other work. ERR_NOT_FOUND, with the Debian
 * package in the hint.
 */
int image_check_tools(const char *root, struct err *err) MUST_CHECK;

/* Changes that still boot, one part each: what appraisal must find and name. */
enum image_tamper {
        IMAGE_TAMPER_GRUB,    /* one byte of GRUB's DOS stub */
        IMAGE_TAMPER_KERNEL,  /* one byte of the kernel's version text */
        IMAGE_TAMPER_CMDLINE, /* one more argument */
        IMAGE_TAMPER_INITRD,  /* one more file in the initramfs */
        IMAGE_TAMPERS,
};

/* "grub", "kernel", "cmdline", "initrd". */
const char *image_tamper_name(enum image_tamper tamper);

/*
 * Copies the disk with this one part changed, for demonstrations and tests. The copy has no
 * manifest: nobody vouches for it.
 */
int image_tamper(const char *image, const char *out, enum image_tamper tamper,
                 struct err *err) MUST_CHECK;

#endif
