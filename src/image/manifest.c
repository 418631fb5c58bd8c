#include "image/manifest.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/hex.h"
#include "crypto/hash.h"
#include "image/image.h"
#include "image/packages.h"
#include "image/pe.h"

/* sha256:hex of bytes as a JSON string, or NULL. */
static json_t *digest_string(struct bytes data)
{
        const struct hash_alg *alg = hash_by_tpm_id(HASH_TPM_SHA256);
        uint8_t digest[HASH_SIZE_MAX];
        char text[2 * HASH_SIZE_MAX + 1];
        struct err ignored = {0};

        if (hash_digest(alg, data.data, data.len, digest, &ignored) < 0)
                return NULL;
        return json_string(hex_encode(digest, alg->size, text));
}

static json_t *disk_files(const struct manifest_facts *facts)
{
        json_t *list = json_array();

        for (int i = 0; i < DISK_FILES; i++) {
                struct bytes data = facts->files[i];

                (void)json_array_append_new(
                    list, json_pack("{s:s, s:I, s:o}", "path", disk_file_path((enum disk_file)i),
                                    "size", (json_int_t)data.len, "sha256", digest_string(data)));
        }
        return list;
}

static json_t *guest_files(const struct guest *guest)
{
        json_t *list = json_array();
        char hex[2 * FILESET_DIGEST + 1];

        for (size_t i = 0; i < guest->files.n; i++) {
                const struct fileset_entry *e = &guest->files.entry[i];

                if (!S_ISREG(e->mode))
                        continue;
                (void)json_array_append_new(
                    list, json_pack("{s:s, s:I, s:i, s:s}", "path", e->path, "size",
                                    (json_int_t)e->len, "mode", (int)(e->mode & 07777), "sha256",
                                    hex_encode(e->digest, FILESET_DIGEST, hex)));
        }
        return list;
}

static json_t *measured_files(const struct guest *guest)
{
        json_t *list = json_array();
        char hex[2 * FILESET_DIGEST + 1];

        for (size_t i = 0; i < guest->n_measured; i++) {
                const struct fileset_entry *e = fileset_find(&guest->files, guest->measured[i]);

                (void)json_array_append_new(list,
                                            json_pack("{s:s, s:s}", "path", e->path, "sha256",
                                                      hex_encode(e->digest, FILESET_DIGEST, hex)));
        }
        return list;
}

static json_t *grub_commands(const char *grub_cfg)
{
        json_t *list = json_array();

        while (*grub_cfg != '\0') {
                size_t n = strcspn(grub_cfg, "\n");

                (void)json_array_append_new(list, json_stringn(grub_cfg, n));
                grub_cfg += n + (grub_cfg[n] == '\n' ? 1 : 0);
        }
        return list;
}

static json_t *kernel_facts(const struct kernel *kernel)
{
        return json_pack("{s:s, s:s, s:s}", "release", kernel->release, "package", kernel->package,
                         "version", kernel->version);
}

int manifest_from_facts(const struct manifest_facts *facts, json_t **ret_manifest, struct err *err)
{
        uint8_t digest[HASH_SIZE_MAX];
        char hex[2 * HASH_SIZE_MAX + 1];
        json_t *packages = NULL;
        json_t *manifest;
        int rc;

        rc = pe_digest(facts->files[DISK_GRUB], hash_by_tpm_id(HASH_TPM_SHA256), digest, err);
        if (rc < 0)
                return err_wrap(err, "GRUB");
        rc = packages_of(&facts->guest->files, &packages, err);
        if (rc < 0)
                return rc;
        manifest = json_pack("{s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:s, s:o}", "schema",
                             MANIFEST_SCHEMA, "cmdline", facts->cmdline, "kernel",
                             kernel_facts(facts->kernel), "packages", packages, "files",
                             disk_files(facts), "grub_commands", grub_commands(facts->grub_cfg),
                             "initramfs", guest_files(facts->guest), "grub_authenticode_sha256",
                             hex_encode(digest, 32, hex), "measured", measured_files(facts->guest));
        if (manifest == NULL)
                return err_set(err, ERR_NO_MEMORY, "manifest");
        *ret_manifest = manifest;
        return 0;
}

static int manifest_path(const char *image, char *ret_path, struct err *err)
{
        if (snprintf(ret_path, PATH_MAX, "%s" IMAGE_MANIFEST_SUFFIX, image) >= PATH_MAX)
                return err_set(err, ERR_LIMIT, "%s: path too long", image);
        return 0;
}

int manifest_read(const char *image, json_t **ret_manifest, struct err *err)
{
        AUTO_FREE uint8_t *text = NULL;
        char path[PATH_MAX];
        json_error_t place;
        json_t *manifest;
        size_t len;
        int schema = 0;
        int rc;

        rc = manifest_path(image, path, err);
        if (rc == 0)
                rc = fs_read_file(path, MANIFEST_MAX, &text, &len, err);
        if (rc < 0)
                return rc;
        manifest = json_loadb((const char *)text, len, JSON_REJECT_DUPLICATES, &place);
        if (manifest == NULL)
                return err_set(err, ERR_MALFORMED, "%s: %s at byte %d", path, place.text,
                               place.position);
        if (json_unpack(manifest, "{s:i}", "schema", &schema) != 0 || schema != MANIFEST_SCHEMA) {
                json_decref(manifest);
                return err_set(err, ERR_UNSUPPORTED, "%s: schema is not %d", path, MANIFEST_SCHEMA);
        }
        *ret_manifest = manifest;
        return 0;
}

int manifest_write(const char *image, const json_t *manifest, struct err *err)
{
        char *text = json_dumps(manifest, JSON_INDENT(1) | JSON_SORT_KEYS);
        char path[PATH_MAX];
        int rc;

        if (text == NULL)
                return err_set(err, ERR_NO_MEMORY, "manifest");
        rc = manifest_path(image, path, err);
        if (rc == 0)
                rc = fs_write_file(path, text, strlen(text), 0644, err);
        free(text);
        return rc;
}
