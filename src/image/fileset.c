#include "image/fileset.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "crypto/hash.h"

#define CPIO_ALIGN   4
#define CPIO_TRAILER "TRAILER!!!"

static void entry_done(struct fileset_entry *entry)
{
        free(entry->path);
        free(entry->source);
        free(entry->data);
        memset(entry, 0, sizeof(*entry));
}
#define AUTO_ENTRY CLEANUP(entry_done)

void fileset_done(struct fileset *set)
{
        for (size_t i = 0; i < set->n; i++)
                entry_done(&set->entry[i]);
        set->n = 0;
}

/* Where path is, or where it belongs; *ret_found says which. */
static size_t position(const struct fileset *set, const char *path, bool *ret_found)
{
        size_t low = 0;
        size_t high = set->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int order = strcmp(set->entry[middle].path, path);

                if (order == 0) {
                        *ret_found = true;
                        return middle;
                }
                if (order < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        *ret_found = false;
        return low;
}

const struct fileset_entry *fileset_find(const struct fileset *set, const char *path)
{
        bool found;
        size_t at = position(set, path, &found);

        return found ? &set->entry[at] : NULL;
}

static int check_path(const char *path, struct err *err)
{
        size_t len = strlen(path);

        if (path[0] != '/' || len < 2 || len > FILESET_PATH_MAX || path[len - 1] == '/')
                return err_set(err, ERR_USAGE, "%s: not the absolute path of a file", path);
        for (const char *part = path; part != NULL; part = strchr(part + 1, '/')) {
                size_t n = strcspn(part + 1, "/");

                if (n == 0 || (n <= 2 && strspn(part + 1, ".") >= n))
                        return err_set(err, ERR_USAGE, "%s: has an empty or a dotted part", path);
        }
        return 0;
}

/* Moves *entry into the set; an equal one may be there already. */
static int insert(struct fileset *set, struct fileset_entry *entry, struct err *err)
{
        bool found;
        size_t at = position(set, entry->path, &found);

        if (found) {
                const struct fileset_entry *old = &set->entry[at];

                if (old->mode == entry->mode && old->len == entry->len &&
                    memcmp(old->digest, entry->digest, FILESET_DIGEST) == 0)
                        return 0;
                return err_set(err, ERR_CONFLICT, "%s: is there already, and differs", entry->path);
        }
        if (set->n == FILESET_COUNT_MAX)
                return err_set(err, ERR_LIMIT, "more than %d files", FILESET_COUNT_MAX);
        memmove(&set->entry[at + 1], &set->entry[at], (set->n - at) * sizeof(set->entry[0]));
        set->entry[at] = *entry;
        memset(entry, 0, sizeof(*entry));
        set->n++;
        return 0;
}

static int add_one_dir(struct fileset *set, const char *path, size_t len, struct err *err)
{
        AUTO_ENTRY struct fileset_entry entry = {.mode = S_IFDIR | 0755};

        entry.path = strndup(path, len);
        if (entry.path == NULL)
                return err_set(err, ERR_NO_MEMORY, "%s", path);
        return insert(set, &entry, err);
}

static int add_parents(struct fileset *set, const char *path, struct err *err)
{
        int rc = check_path(path, err);

        if (rc < 0)
                return rc;
        for (const char *slash = strchr(path + 1, '/'); rc == 0 && slash != NULL;
             slash = strchr(slash + 1, '/'))
                rc = add_one_dir(set, path, (size_t)(slash - path), err);
        return rc;
}

int fileset_add_dir(struct fileset *set, const char *path, struct err *err)
{
        int rc = add_parents(set, path, err);

        return rc < 0 ? rc : add_one_dir(set, path, strlen(path), err);
}

/* Takes data, also on failure. */
static int add_taken(struct fileset *set, const char *path, mode_t permissions, uint8_t *data,
                     size_t len, const char *source, struct err *err)
{
        AUTO_ENTRY struct fileset_entry entry = {
            .mode = S_IFREG | permissions, .data = data, .len = len};
        int rc = add_parents(set, path, err);

        if (rc < 0)
                return rc;
        entry.path = strdup(path);
        entry.source = source == NULL ? NULL : strdup(source);
        if (entry.path == NULL || (source != NULL && entry.source == NULL))
                return err_set(err, ERR_NO_MEMORY, "%s", path);
        rc = hash_digest(hash_by_tpm_id(HASH_TPM_SHA256), data, len, entry.digest, err);
        return rc < 0 ? rc : insert(set, &entry, err);
}

int fileset_add_data(struct fileset *set, const char *path, mode_t permissions, struct bytes data,
                     struct err *err)
{
        uint8_t *copy = malloc(data.len + 1);

        if (copy == NULL)
                return err_set(err, ERR_NO_MEMORY, "%s", path);
        if (data.len > 0)
                memcpy(copy, data.data, data.len);
        return add_taken(set, path, permissions, copy, data.len, NULL, err);
}

int fileset_add_file(struct fileset *set, const char *path, mode_t permissions, const char *source,
                     struct err *err)
{
        uint8_t *data = NULL;
        size_t len = 0;
        int rc;

        rc = fs_read_file(source, FILESET_FILE_MAX, &data, &len, err);
        if (rc < 0)
                return rc;
        return add_taken(set, path, permissions, data, len, source, err);
}

static void pad(struct writer *w, size_t start)
{
        while ((w->len - start) % CPIO_ALIGN != 0 && !w->failed)
                writer_put_u8(w, 0);
}

/* One header of 13 fields of 8 hexadecimal digits, the name, the bytes. */
static void put_entry(struct writer *w, size_t start, const char *name, unsigned inode,
                      unsigned mode, struct bytes data)
{
        char header[6 + 13 * 8 + 1];
        unsigned links = S_ISDIR(mode) ? 2 : 1;

        (void)snprintf(header, sizeof(header),
                       "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", inode, mode,
                       0U, 0U, links, 0U, (unsigned)data.len, 0U, 0U, 0U, 0U,
                       (unsigned)strlen(name) + 1, 0U);
        writer_put_text(w, header);
        writer_put(w, name, strlen(name) + 1);
        pad(w, start);
        writer_put_bytes(w, data);
        pad(w, start);
}

int fileset_write_cpio(const struct fileset *set, struct writer *w, struct err *err)
{
        size_t start = w->len;

        for (size_t i = 0; i < set->n; i++) {
                const struct fileset_entry *e = &set->entry[i];

                put_entry(w, start, e->path + 1, (unsigned)i + 1, e->mode,
                          (struct bytes){e->data, e->len});
        }
        put_entry(w, start, CPIO_TRAILER, 0, 0, (struct bytes){NULL, 0});
        if (writer_check(w) < 0)
                return err_set(err, ERR_LIMIT, "initramfs is larger than %zu bytes", w->max);
        return 0;
}
