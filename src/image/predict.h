/*
 * What a guest image will measure when it boots, computed before any boot: GRUB's own digest
 * (PCR 4), GRUB's commands and the command line (PCR 8), grub.cfg, kernel and initramfs (PCR 9),
 * the files that the guest's kernel measures (IMA, PCR 10). The firmware's PCRs 0 to 3 and 5 to 7
 * are not computed: OVMF measures memory layout, CPUs and boot devices; they come from a firmware
 * profile learned once for such a configuration.
 *
 * Holds for a disk that firmware sees as the only one, so that GRUB calls it hd0. SHA-256 bank.
 */
#ifndef IMAGE_PREDICT_H
#define IMAGE_PREDICT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macro.h"
#include "evlog/policy.h"
#include "image/disk.h"
#include "image/grubscript.h"

#define PREDICT_DIGEST     32
#define PREDICT_FILES_MAX  64  /* files of PCR 9 */
#define PREDICT_IMA_MAX    512 /* measured files */
#define PREDICT_PATH_MAX   512
#define PREDICT_PCR_LOADER 4
#define PREDICT_PCR_IMA    10

struct predict_file {
        char path[PREDICT_PATH_MAX]; /* as the event or the IMA log says */
        uint8_t digest[PREDICT_DIGEST];
};

struct prediction {
        uint8_t loader[PREDICT_DIGEST]; /* Authenticode digest of BOOTX64.EFI */
        struct grubscript script;
        /* The files of PCR 9, one for each time that GRUB reads one, in that order. */
        struct predict_file file[PREDICT_FILES_MAX];
        size_t n_files;
        struct predict_file ima[PREDICT_IMA_MAX]; /* in the order of measuring */
        size_t n_ima;
};

/*
 * Reads the disk and the manifest beside it, whose list of measured files must be of this disk's
 * initramfs. free() the result. ERR_NOT_FOUND, ERR_MALFORMED, ERR_UNSUPPORTED (a grub.cfg that is
 * not ours), ERR_CONFLICT (the manifest is another image's).
 */
int predict_image(const char *image, struct prediction **ret_prediction,
                  struct err *err) MUST_CHECK;

/* Fills file[] from the script and the disk's files; part of predict_image(), for tests. */
int predict_files(struct prediction *prediction, const struct bytes files[DISK_FILES],
                  struct err *err) MUST_CHECK;

/* The value of PCR 4, 8 or 9 after this boot. ERR_USAGE for another PCR. */
int predict_pcr(const struct prediction *prediction, unsigned pcr,
                uint8_t ret_value[PREDICT_DIGEST], struct err *err) MUST_CHECK;

/*
 * The value of PCR 10 after all files were measured, from the firmware's PCRs 0 to 9 as they stand
 * when the kernel starts: pcrs[n] is PCR n. Template ima-sig.
 */
int predict_ima_pcr(const struct prediction *prediction, const uint8_t pcrs[10][PREDICT_DIGEST],
                    uint8_t ret_value[PREDICT_DIGEST], struct err *err) MUST_CHECK;

/*
 * The policy that accepts this boot. Its firmware profiles are those of profile, another policy
 * (as policy learn writes them), or none when profile is NULL. Free with policy_free().
 */
int predict_policy(const struct prediction *prediction, const char *name,
                   const struct policy *profile, struct policy **ret_policy,
                   struct err *err) MUST_CHECK;

#endif
