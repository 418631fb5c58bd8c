#include "verify/evidence.h"

#include <string.h>

#define DEPTH_MAX 3

static const char magic[3] = {'C', 'E', 'V'};
enum { FORMAT_VERSION = 1 };

struct blob {
        char path[EVIDENCE_PATH_MAX + 1];
        uint8_t *data;
        size_t len;
};

struct evidence {
        struct blob *blobs; /* sorted by path */
        size_t n;
        size_t cap;
        size_t total;
};

static bool is_safe_char(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '.' || c == '_' || c == '-';
}

static bool component_is_safe(const char *text, size_t len)
{
        if (len == 0 || len > EVIDENCE_COMPONENT_MAX || text[0] == '.')
                return false;
        for (size_t i = 0; i < len; i++)
                if (!is_safe_char(text[i]))
                        return false;
        return true;
}

bool evidence_name_is_safe(const char *name)
{
        return component_is_safe(name, strlen(name));
}

static bool path_is_safe(const char *path)
{
        unsigned depth = 0;

        for (;;) {
                size_t len = strcspn(path, "/");

                if (++depth > DEPTH_MAX || !component_is_safe(path, len))
                        return false;
                if (path[len] == '\0')
                        return true;
                path += len + 1;
        }
}

int evidence_new(struct evidence **ret_evidence, struct err *err)
{
        struct evidence *evidence = calloc(1, sizeof(*evidence));

        if (evidence == NULL)
                return err_set(err, ERR_NO_MEMORY, "evidence");
        *ret_evidence = evidence;
        return 0;
}

void evidence_free(struct evidence *evidence)
{
        if (evidence == NULL)
                return;
        for (size_t i = 0; i < evidence->n; i++)
                free(evidence->blobs[i].data);
        free(evidence->blobs);
        free(evidence);
}

/* Index of the first blob whose path is not before this one. */
static size_t lower_bound(const struct evidence *evidence, const char *path)
{
        size_t low = 0, high = evidence->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (strcmp(evidence->blobs[middle].path, path) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static bool is_at(const struct evidence *evidence, size_t i, const char *path)
{
        return i < evidence->n && strcmp(evidence->blobs[i].path, path) == 0;
}

static int grow(struct evidence *evidence, struct err *err)
{
        size_t cap = evidence->cap == 0 ? 32 : 2 * evidence->cap;
        struct blob *blobs;

        if (evidence->n < evidence->cap)
                return 0;
        blobs = reallocarray(evidence->blobs, cap, sizeof(*blobs));
        if (blobs == NULL)
                return err_set(err, ERR_NO_MEMORY, "evidence of %zu blobs", cap);
        evidence->blobs = blobs;
        evidence->cap = cap;
        return 0;
}

static int check_put(const struct evidence *evidence, const char *path, size_t len, struct err *err)
{
        /* The path is not printed: it may hold anything. */
        if (!path_is_safe(path))
                return err_set(err, ERR_MALFORMED, "unsafe name in evidence");
        if (is_at(evidence, lower_bound(evidence, path), path))
                return err_set(err, ERR_CONFLICT, "%s is there twice", path);
        if (evidence->n >= EVIDENCE_BLOBS_MAX)
                return err_set(err, ERR_LIMIT, "more than %d blobs", EVIDENCE_BLOBS_MAX);
        if (len > EVIDENCE_BLOB_MAX || len > EVIDENCE_TOTAL_MAX - evidence->total)
                return err_set(err, ERR_LIMIT, "%s: evidence too large", path);
        return 0;
}

int evidence_put(struct evidence *evidence, const char *path, struct bytes data, struct err *err)
{
        uint8_t AUTO_FREE *copy = NULL;
        size_t at;
        int rc = check_put(evidence, path, data.len, err);

        if (rc == 0)
                rc = grow(evidence, err);
        if (rc != 0)
                return rc;
        copy = malloc(data.len + 1);
        if (copy == NULL)
                return err_set(err, ERR_NO_MEMORY, "%s", path);
        if (data.len != 0)
                memcpy(copy, data.data, data.len);
        copy[data.len] = '\0';
        at = lower_bound(evidence, path);
        memmove(&evidence->blobs[at + 1], &evidence->blobs[at],
                (evidence->n - at) * sizeof(evidence->blobs[0]));
        evidence->blobs[at] = (struct blob){.len = data.len};
        evidence->blobs[at].data = TAKE(copy);
        memcpy(evidence->blobs[at].path, path, strlen(path) + 1);
        evidence->n++;
        evidence->total += data.len;
        return 0;
}

void evidence_remove(struct evidence *evidence, const char *path)
{
        size_t at = lower_bound(evidence, path);

        if (!is_at(evidence, at, path))
                return;
        evidence->total -= evidence->blobs[at].len;
        free(evidence->blobs[at].data);
        evidence->n--;
        memmove(&evidence->blobs[at], &evidence->blobs[at + 1],
                (evidence->n - at) * sizeof(evidence->blobs[0]));
}

int evidence_replace(struct evidence *evidence, const char *path, struct bytes data,
                     struct err *err)
{
        evidence_remove(evidence, path);
        return evidence_put(evidence, path, data, err);
}

bool evidence_get(const struct evidence *evidence, const char *path, struct bytes *ret_data)
{
        size_t at = lower_bound(evidence, path);

        if (!is_at(evidence, at, path))
                return false;
        *ret_data = evidence_data(evidence, at);
        return true;
}

size_t evidence_count(const struct evidence *evidence)
{
        return evidence->n;
}

const char *evidence_path(const struct evidence *evidence, size_t i)
{
        return evidence->blobs[i].path;
}

struct bytes evidence_data(const struct evidence *evidence, size_t i)
{
        return (struct bytes){evidence->blobs[i].data, evidence->blobs[i].len};
}

/* The length of the VM's name in "vms/<name>/...", or 0. */
static size_t vm_name_len(const char *path)
{
        size_t len;

        if (strncmp(path, "vms/", 4) != 0)
                return 0;
        len = strcspn(path + 4, "/");
        return path[4 + len] == '/' ? len : 0;
}

size_t evidence_vms(const struct evidence *evidence, char (*ret_names)[EVIDENCE_COMPONENT_MAX + 1],
                    size_t max)
{
        const char *last = "";
        size_t last_len = 0, n = 0;

        /* Paths are sorted, but "a-b/x" sorts before "a/x": names still come in runs. */
        for (size_t i = 0; i < evidence->n; i++) {
                const char *name = evidence->blobs[i].path + 4;
                size_t len = vm_name_len(evidence->blobs[i].path);

                if (len == 0 || (len == last_len && memcmp(name, last, len) == 0))
                        continue;
                if (n < max) {
                        memcpy(ret_names[n], name, len);
                        ret_names[n][len] = '\0';
                }
                n++;
                last = name;
                last_len = len;
        }
        return n;
}

int evidence_encode(const struct evidence *evidence, struct writer *w, struct err *err)
{
        writer_put(w, magic, sizeof(magic));
        writer_put_u8(w, FORMAT_VERSION);
        for (size_t i = 0; i < evidence->n; i++) {
                const struct blob *blob = &evidence->blobs[i];

                writer_put_u8(w, (uint8_t)strlen(blob->path));
                writer_put_text(w, blob->path);
                writer_put_be32(w, (uint32_t)blob->len);
                writer_put(w, blob->data, blob->len);
        }
        if (writer_check(w) != 0)
                return err_set(err, ERR_LIMIT, "evidence does not fit");
        return 0;
}

static int decode_blob(struct reader *r, struct evidence *evidence, struct err *err)
{
        char path[EVIDENCE_PATH_MAX + 1] = {0};
        struct bytes data;
        uint32_t len;
        uint8_t path_len;

        if (reader_get_u8(r, &path_len) != 0 || path_len > EVIDENCE_PATH_MAX ||
            reader_get_copy(r, path, path_len) != 0 || memchr(path, '\0', path_len) != NULL ||
            reader_get_be32(r, &len) != 0 || reader_get_bytes(r, len, &data) != 0)
                return err_set(err, ERR_MALFORMED, "evidence: blob at offset %zu",
                               reader_offset(r));
        return evidence_put(evidence, path, data, err);
}

int evidence_decode(struct bytes data, struct evidence **ret_evidence, struct err *err)
{
        struct evidence AUTO_EVIDENCE *evidence = NULL;
        struct reader r = reader_from_bytes(data);
        uint8_t head[sizeof(magic)], version;
        int rc;

        if (reader_get_copy(&r, head, sizeof(head)) != 0 ||
            memcmp(head, magic, sizeof(magic)) != 0 || reader_get_u8(&r, &version) != 0)
                return err_set(err, ERR_MALFORMED, "not evidence");
        if (version != FORMAT_VERSION)
                return err_set(err, ERR_UNSUPPORTED, "evidence of version %u", version);
        rc = evidence_new(&evidence, err);
        while (rc == 0 && reader_left(&r) > 0)
                rc = decode_blob(&r, evidence, err);
        if (rc == 0)
                *ret_evidence = TAKE(evidence);
        return rc;
}
