#include "image/predict.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "base/writer.h"
#include "crypto/hash.h"
#include "image/manifest.h"
#include "image/pe.h"

#define IMA_TEMPLATE_MAX (PREDICT_PATH_MAX + 64)
#define GRUB_PREFIX      "(hd0)" /* what $root is when GRUB opens grub.cfg */

/* TCG PC Client Platform Firmware Profile: the action before a boot option is started. */
static const char boot_action[] = "Calling EFI Application from Boot Option";
static const uint8_t separator[4] = {0};

static const struct hash_alg *bank(void)
{
        return hash_by_tpm_id(HASH_TPM_SHA256);
}

static int extend_data(uint8_t *pcr, const void *data, size_t len, struct err *err)
{
        uint8_t digest[HASH_SIZE_MAX];
        int rc = hash_digest(bank(), data, len, digest, err);

        return rc == 0 ? hash_extend(bank(), pcr, digest, err) : rc;
}

static int add_file(struct prediction *prediction, const char *path, const uint8_t *digest,
                    struct err *err)
{
        struct predict_file *file = &prediction->file[prediction->n_files];

        if (prediction->n_files == PREDICT_FILES_MAX)
                return err_set(err, ERR_LIMIT, "GRUB reads more than %d files", PREDICT_FILES_MAX);
        if (snprintf(file->path, sizeof(file->path), "%s", path) >= (int)sizeof(file->path))
                return err_set(err, ERR_LIMIT, "%s: path too long", path);
        memcpy(file->digest, digest, PREDICT_DIGEST);
        prediction->n_files++;
        return 0;
}

static int digest_of_path(const struct bytes files[DISK_FILES], const char *path,
                          uint8_t *ret_digest, struct err *err)
{
        for (int i = 0; i < DISK_FILES; i++)
                if (strcmp(path, disk_file_path((enum disk_file)i)) == 0)
                        return hash_digest(bank(), files[i].data, files[i].len, ret_digest, err);
        return err_set(err, ERR_NOT_FOUND, "grub.cfg reads %s, which is not on the disk", path);
}

int predict_files(struct prediction *prediction, const struct bytes files[DISK_FILES],
                  struct err *err)
{
        uint8_t digest[HASH_SIZE_MAX];
        char path[PREDICT_PATH_MAX];
        int rc;

        (void)snprintf(path, sizeof(path), GRUB_PREFIX "%s", disk_file_path(DISK_GRUB_CFG));
        rc = digest_of_path(files, disk_file_path(DISK_GRUB_CFG), digest, err);
        /* Debian's GRUB 2.06 opens its configuration twice: to look whether it is there. */
        if (rc == 0)
                rc = add_file(prediction, path, digest, err);
        if (rc == 0)
                rc = add_file(prediction, path, digest, err);
        for (size_t i = 0; rc == 0 && i < prediction->script.n; i++) {
                const struct grubscript_event *event = &prediction->script.event[i];

                if (event->kind != GRUBSCRIPT_FILE)
                        continue;
                rc = digest_of_path(files, event->text, digest, err);
                if (rc == 0)
                        rc = add_file(prediction, event->text, digest, err);
        }
        return rc;
}

static int pcr_loader(const struct prediction *prediction, uint8_t *pcr, struct err *err)
{
        int rc;

        rc = extend_data(pcr, boot_action, strlen(boot_action), err);
        if (rc == 0)
                rc = extend_data(pcr, separator, sizeof(separator), err);
        return rc == 0 ? hash_extend(bank(), pcr, prediction->loader, err) : rc;
}

/* What is hashed is the text without its prefix and without a NUL. */
static int pcr_text(const struct prediction *prediction, uint8_t *pcr, struct err *err)
{
        int rc = 0;

        for (size_t i = 0; rc == 0 && i < prediction->script.n; i++) {
                const struct grubscript_event *event = &prediction->script.event[i];

                if (event->kind != GRUBSCRIPT_FILE)
                        rc = extend_data(pcr, event->text, strlen(event->text), err);
        }
        return rc;
}

static int pcr_files(const struct prediction *prediction, uint8_t *pcr, struct err *err)
{
        int rc = 0;

        for (size_t i = 0; rc == 0 && i < prediction->n_files; i++)
                rc = hash_extend(bank(), pcr, prediction->file[i].digest, err);
        return rc;
}

int predict_pcr(const struct prediction *prediction, unsigned pcr,
                uint8_t ret_value[PREDICT_DIGEST], struct err *err)
{
        static const struct {
                unsigned pcr;
                int (*compute)(const struct prediction *, uint8_t *, struct err *);
        } rows[] = {
            {PREDICT_PCR_LOADER, pcr_loader},
            {GRUBSCRIPT_PCR_TEXT, pcr_text},
            {GRUBSCRIPT_PCR_FILE, pcr_files},
        };
        uint8_t value[PREDICT_DIGEST] = {0};
        int rc;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                if (rows[i].pcr != pcr)
                        continue;
                rc = rows[i].compute(prediction, value, err);
                if (rc == 0)
                        memcpy(ret_value, value, sizeof(value));
                return rc;
        }
        return err_set(err, ERR_USAGE, "PCR %u cannot be computed before a boot", pcr);
}

/* Template data of ima-sig: d-ng, n-ng and an empty sig, each after its le32 length. */
static int extend_ima(uint8_t *pcr, const char *path, const uint8_t *digest, struct err *err)
{
        static const char algorithm[] = "sha256:"; /* and its NUL */
        uint8_t data[IMA_TEMPLATE_MAX];
        struct writer w;

        writer_init_fixed(&w, data, sizeof(data));
        writer_put_le32(&w, (uint32_t)sizeof(algorithm) + PREDICT_DIGEST);
        writer_put(&w, algorithm, sizeof(algorithm));
        writer_put(&w, digest, PREDICT_DIGEST);
        writer_put_le32(&w, (uint32_t)strlen(path) + 1);
        writer_put(&w, path, strlen(path) + 1);
        writer_put_le32(&w, 0);
        if (writer_check(&w) < 0)
                return err_set(err, ERR_LIMIT, "%s: path too long", path);
        return extend_data(pcr, data, w.len, err);
}

int predict_ima_pcr(const struct prediction *prediction, const uint8_t pcrs[10][PREDICT_DIGEST],
                    uint8_t ret_value[PREDICT_DIGEST], struct err *err)
{
        uint8_t aggregate[HASH_SIZE_MAX];
        uint8_t value[PREDICT_DIGEST] = {0};
        int rc;

        /* Linux 6.1: boot_aggregate is the hash over PCR 0 to 9 of the bank of its own hash. */
        rc = hash_digest(bank(), pcrs, 10 * (size_t)PREDICT_DIGEST, aggregate, err);
        if (rc == 0)
                rc = extend_ima(value, "boot_aggregate", aggregate, err);
        for (size_t i = 0; rc == 0 && i < prediction->n_ima; i++)
                rc = extend_ima(value, prediction->ima[i].path, prediction->ima[i].digest, err);
        if (rc == 0)
                memcpy(ret_value, value, sizeof(value));
        return rc;
}

static int take_digest(const char *hex, uint8_t ret_digest[PREDICT_DIGEST], struct err *err)
{
        size_t len = 0;

        if (hex == NULL || hex_decode(hex, strlen(hex), ret_digest, PREDICT_DIGEST, &len) < 0 ||
            len != PREDICT_DIGEST)
                return err_set(err, ERR_MALFORMED, "manifest: not a SHA-256 digest");
        return 0;
}

/* The digest that the manifest gives for a file of the disk. */
static int manifest_digest(json_t *manifest, const char *path, uint8_t ret_digest[PREDICT_DIGEST],
                           struct err *err)
{
        json_t *list = json_object_get(manifest, "files");
        size_t i;
        json_t *item;

        json_array_foreach(list, i, item)
        {
                const char *name = json_string_value(json_object_get(item, "path"));

                if (name != NULL && strcmp(name, path) == 0)
                        return take_digest(json_string_value(json_object_get(item, "sha256")),
                                           ret_digest, err);
        }
        return err_set(err, ERR_MALFORMED, "manifest: says nothing of %s", path);
}

static int check_manifest(json_t *manifest, struct bytes initrd, struct err *err)
{
        uint8_t expected[PREDICT_DIGEST];
        uint8_t digest[HASH_SIZE_MAX];
        int rc;

        rc = manifest_digest(manifest, disk_file_path(DISK_INITRD), expected, err);
        if (rc == 0)
                rc = hash_digest(bank(), initrd.data, initrd.len, digest, err);
        if (rc < 0)
                return rc;
        if (memcmp(expected, digest, PREDICT_DIGEST) != 0)
                return err_set(err, ERR_CONFLICT, "the manifest's initramfs is not the disk's");
        return 0;
}

static int take_measured(struct prediction *prediction, json_t *manifest, struct err *err)
{
        json_t *list = json_object_get(manifest, "measured");
        size_t i;
        json_t *item;
        int rc = 0;

        if (!json_is_array(list) || json_array_size(list) > PREDICT_IMA_MAX)
                return err_set(err, ERR_MALFORMED, "manifest: no list of at most %d measured files",
                               PREDICT_IMA_MAX);
        json_array_foreach(list, i, item)
        {
                struct predict_file *file = &prediction->ima[i];
                const char *path = json_string_value(json_object_get(item, "path"));

                if (path == NULL ||
                    snprintf(file->path, sizeof(file->path), "%s", path) >= (int)sizeof(file->path))
                        return err_set(err, ERR_MALFORMED, "manifest: bad path of file %zu", i);
                rc = take_digest(json_string_value(json_object_get(item, "sha256")), file->digest,
                                 err);
                if (rc < 0)
                        return rc;
        }
        prediction->n_ima = json_array_size(list);
        return 0;
}

struct disk_files {
        uint8_t *data[DISK_FILES];
        struct bytes file[DISK_FILES];
        json_t *manifest;
};

static void disk_files_done(struct disk_files *disk)
{
        for (int i = 0; i < DISK_FILES; i++)
                free(disk->data[i]);
        json_decref(disk->manifest);
}

static int compute(struct prediction *prediction, struct disk_files *disk, struct err *err)
{
        int rc;

        rc = pe_digest(disk->file[DISK_GRUB], bank(), prediction->loader, err);
        if (rc == 0)
                rc = grubscript_parse(disk->file[DISK_GRUB_CFG], &prediction->script, err);
        if (rc == 0)
                rc = predict_files(prediction, disk->file, err);
        if (rc == 0)
                rc = check_manifest(disk->manifest, disk->file[DISK_INITRD], err);
        if (rc == 0)
                rc = take_measured(prediction, disk->manifest, err);
        return rc;
}

static int read_disk(const char *image, struct disk_files *disk, struct err *err)
{
        int rc = 0;

        for (int i = 0; rc == 0 && i < DISK_FILES; i++) {
                rc = disk_read(image, (enum disk_file)i, &disk->data[i], &disk->file[i].len, err);
                disk->file[i].data = disk->data[i];
        }
        return rc == 0 ? manifest_read(image, &disk->manifest, err) : rc;
}

int predict_image(const char *image, struct prediction **ret_prediction, struct err *err)
{
        struct prediction *prediction = calloc(1, sizeof(*prediction));
        struct disk_files disk = {.manifest = NULL};
        int rc;

        if (prediction == NULL)
                return err_set(err, ERR_NO_MEMORY, "%s", image);
        rc = read_disk(image, &disk, err);
        if (rc == 0)
                rc = compute(prediction, &disk, err);
        disk_files_done(&disk);
        if (rc < 0) {
                free(prediction);
                return err_wrap(err, "predict %s", image);
        }
        *ret_prediction = prediction;
        return 0;
}
