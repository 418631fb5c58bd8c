#include "evlog/ima-template.h"

#include <string.h>

#define OLD_NAME_MAX  255
#define HASH_NAME_MAX 32

static const char *const field_names[IMA_FIELD_COUNT] = {
    [IMA_FIELD_D] = "d",
    [IMA_FIELD_N] = "n",
    [IMA_FIELD_D_NG] = "d-ng",
    [IMA_FIELD_D_NGV2] = "d-ngv2",
    [IMA_FIELD_N_NG] = "n-ng",
    [IMA_FIELD_SIG] = "sig",
    [IMA_FIELD_BUF] = "buf",
    [IMA_FIELD_D_MODSIG] = "d-modsig",
    [IMA_FIELD_MODSIG] = "modsig",
    [IMA_FIELD_EVMSIG] = "evmsig",
    [IMA_FIELD_IUID] = "iuid",
    [IMA_FIELD_IGID] = "igid",
    [IMA_FIELD_IMODE] = "imode",
    [IMA_FIELD_XATTRNAMES] = "xattrnames",
    [IMA_FIELD_XATTRLENGTHS] = "xattrlengths",
    [IMA_FIELD_XATTRVALUES] = "xattrvalues",
};

/* Linux, security/integrity/ima/ima_template.c, builtin_templates. */
static const struct {
        const char *name;
        const char *format;
} templates[] = {
    {"ima", "d|n"},
    {"ima-ng", "d-ng|n-ng"},
    {"ima-sig", "d-ng|n-ng|sig"},
    {"ima-ngv2", "d-ngv2|n-ng"},
    {"ima-sigv2", "d-ngv2|n-ng|sig"},
    {"ima-buf", "d-ng|n-ng|buf"},
    {"ima-modsig", "d-ng|n-ng|sig|d-modsig|modsig"},
    {"evm-sig", "d-ng|n-ng|evmsig|xattrnames|xattrlengths|xattrvalues|iuid|igid|imode"},
};

static bool equals(struct bytes bytes, const char *text)
{
        return bytes.len == strlen(text) && memcmp(bytes.data, text, bytes.len) == 0;
}

static int add_field(struct ima_template *template, struct bytes name)
{
        for (int field = 0; field < IMA_FIELD_COUNT; field++) {
                if (!equals(name, field_names[field]))
                        continue;
                for (size_t i = 0; i < template->count; i++)
                        if (template->fields[i] == (enum ima_field)field)
                                return ERR_MALFORMED;
                if (template->count == IMA_FIELDS_MAX)
                        return ERR_MALFORMED;
                template->fields[template->count++] = (enum ima_field)field;
                return 0;
        }
        return ERR_MALFORMED;
}

int ima_template_find(struct bytes name, struct ima_template *ret_template)
{
        struct ima_template found = {.is_old = equals(name, "ima")};
        struct bytes format = name;

        for (size_t i = 0; i < ARRAY_SIZE(templates); i++)
                if (equals(name, templates[i].name))
                        format = (struct bytes){(const uint8_t *)templates[i].format,
                                                strlen(templates[i].format)};
        for (size_t from = 0; from <= format.len;) {
                const uint8_t *start = format.data + from;
                const uint8_t *bar = memchr(start, '|', format.len - from);
                size_t len = bar != NULL ? (size_t)(bar - start) : format.len - from;

                if (add_field(&found, (struct bytes){start, len}) != 0)
                        return ERR_MALFORMED;
                from += len + 1;
        }
        *ret_template = found;
        return 0;
}

static bool is_word(struct bytes bytes)
{
        for (size_t i = 0; i < bytes.len; i++) {
                uint8_t c = bytes.data[i];

                if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
                        return false;
        }
        return bytes.len > 0 && bytes.len <= HASH_NAME_MAX;
}

/* "sha256:" NUL digest, or with a kind before it "verity:sha256:" NUL digest. */
static bool split_digest(struct bytes field, bool has_kind, struct bytes *ret_name,
                         struct bytes *ret_digest)
{
        const uint8_t *nul = memchr(field.data, 0, field.len);
        const uint8_t *colon;
        struct bytes name;

        if (nul == NULL || nul == field.data || nul[-1] != ':')
                return false;
        name = (struct bytes){field.data, (size_t)(nul - field.data) - 1};
        if (has_kind) {
                colon = memchr(name.data, ':', name.len);
                if (colon == NULL)
                        return false;
                name.len -= (size_t)(colon - name.data) + 1;
                name.data = colon + 1;
        }
        if (!is_word(name))
                return false;
        *ret_name = name;
        *ret_digest = (struct bytes){nul + 1, field.len - (size_t)(nul + 1 - field.data)};
        return ret_digest->len <= HASH_SIZE_MAX;
}

/* A digest of an algorithm that we know has that algorithm's size. */
static bool is_of_its_size(struct bytes name, struct bytes digest)
{
        const struct hash_alg *alg = hash_by_name_len((const char *)name.data, name.len);

        return alg == NULL || alg->size == digest.len;
}

static bool take_digest(struct ima_entry *entry, struct bytes field, bool has_kind)
{
        if (entry->violation) /* carries whatever the kernel saw fit, nothing of it measured */
                return true;
        return split_digest(field, has_kind, &entry->hash_name, &entry->hash) &&
               is_of_its_size(entry->hash_name, entry->hash);
}

static bool take_name(struct ima_entry *entry, struct bytes field)
{
        if (field.len == 0 || field.data[field.len - 1] != 0)
                return false;
        entry->path = (struct bytes){field.data, field.len - 1};
        return memchr(entry->path.data, 0, entry->path.len) == NULL;
}

static const char *take_field(struct ima_entry *entry, enum ima_field field, struct bytes bytes)
{
        struct bytes ignored_name;
        struct bytes ignored_digest;

        entry->present |= UINT32_C(1) << field;
        switch (field) {
        case IMA_FIELD_D:
                entry->hash = bytes;
                return bytes.len == 20 || bytes.len == 16 ? NULL : "digest of a wrong size";
        case IMA_FIELD_N:
                entry->path = bytes;
                return bytes.len <= OLD_NAME_MAX ? NULL : "name longer than 255 bytes";
        case IMA_FIELD_D_NG:
                return take_digest(entry, bytes, false) ? NULL : "field d-ng";
        case IMA_FIELD_D_NGV2:
                return take_digest(entry, bytes, true) ? NULL : "field d-ngv2";
        case IMA_FIELD_N_NG:
                return take_name(entry, bytes) ? NULL : "field n-ng";
        case IMA_FIELD_SIG:
        case IMA_FIELD_EVMSIG:
                entry->signature = bytes;
                return NULL;
        case IMA_FIELD_BUF:
        case IMA_FIELD_MODSIG:
                entry->buffer = bytes;
                return NULL;
        case IMA_FIELD_D_MODSIG: /* empty where the file has no appended signature */
                if (bytes.len == 0 || split_digest(bytes, false, &ignored_name, &ignored_digest))
                        return NULL;
                return "field d-modsig";
        case IMA_FIELD_IUID:
        case IMA_FIELD_IGID:
        case IMA_FIELD_IMODE:
                return bytes.len <= 4 ? NULL : "number of more than 4 bytes";
        case IMA_FIELD_XATTRNAMES:
        case IMA_FIELD_XATTRLENGTHS:
        case IMA_FIELD_XATTRVALUES:
        case IMA_FIELD_COUNT:
                break;
        }
        return NULL;
}

/* Template "ima": a digest without length, then the name with its length. */
static bool split_old(struct reader *r, struct ima_entry *entry, const char **ret_what)
{
        struct bytes digest;
        struct bytes name;
        uint32_t len;

        *ret_what = "template data cut";
        if (reader_get_bytes(r, 20, &digest) != 0 || reader_get_le32(r, &len) != 0 ||
            len > OLD_NAME_MAX || reader_get_bytes(r, len, &name) != 0)
                return false;
        (void)take_field(entry, IMA_FIELD_D, digest);
        *ret_what = take_field(entry, IMA_FIELD_N, name);
        return *ret_what == NULL && reader_finish(r) == 0;
}

bool ima_template_split(const struct ima_template *template, struct ima_entry *entry,
                        const char **ret_what)
{
        struct reader r = reader_from_bytes(entry->data);

        if (template->is_old)
                return split_old(&r, entry, ret_what);
        for (size_t i = 0; i < template->count; i++) {
                struct bytes field;
                uint32_t len;

                *ret_what = "field longer than the template data";
                if (reader_get_le32(&r, &len) != 0 || reader_get_bytes(&r, len, &field) != 0)
                        return false;
                *ret_what = take_field(entry, template->fields[i], field);
                if (*ret_what != NULL)
                        return false;
        }
        *ret_what = "bytes after the last field";
        return reader_finish(&r) == 0;
}
