/*
 * The ASCII list: one line an entry, fields apart by one space, empty fields left empty. Template
 * data is rebuilt from the fields, so that it can be hashed as the binary list's is. The kernel
 * writes names without spaces; a newline in a name breaks the list, which is then refused.
 */
#include <string.h>

#include "base/hex.h"
#include "base/writer.h"
#include "evlog/ima-internal.h"
#include "evlog/ima-template.h"

#define LINE_OVERHEAD                                                                              \
        ((size_t)8 * IMA_FIELDS_MAX) /* more than lengths and NULs can add to a line */

struct ascii {
        struct bytes input;
        size_t pos; /* in input */
        struct ima_log *log;
        struct writer arena;
        size_t *starts; /* offset of each entry's data in the arena, ends with the total */
        size_t room;
        struct err *err;
};

#define REFUSE(a, fmt, ...)                                                                        \
        err_set((a)->err, ERR_MALFORMED, "IMA entry %zu at byte %zu: " fmt, (a)->log->count,       \
                (a)->pos, ##__VA_ARGS__)

/* Cuts what stands before the separator off *rest; all of it where there is none. */
static struct bytes cut(struct bytes *rest, char separator)
{
        const uint8_t *at = rest->len == 0 ? NULL : memchr(rest->data, separator, rest->len);
        struct bytes word = {rest->data, at != NULL ? (size_t)(at - rest->data) : rest->len};
        size_t used = at != NULL ? word.len + 1 : word.len;

        rest->data = rest->data != NULL ? rest->data + used : NULL;
        rest->len -= used;
        return word;
}

static bool put_hex(struct writer *w, struct bytes hex)
{
        uint8_t *room = writer_reserve(w, hex.len / 2);
        size_t len;

        return room != NULL &&
               hex_decode((const char *)hex.data, hex.len, room, hex.len / 2, &len) == 0;
}

static void put_length(struct writer *w, size_t len)
{
        writer_put_le32(w, (uint32_t)len);
}

/* "sha256:<hex>" becomes "sha256:" NUL bytes; with a kind "verity:sha256:<hex>". */
static bool put_digest(struct writer *w, struct bytes word)
{
        const uint8_t *colon = memrchr(word.data, ':', word.len);
        size_t name_len;

        if (colon == NULL) {
                if (word.len != 0)
                        return false;
                put_length(w, 0);
                return true;
        }
        name_len = (size_t)(colon - word.data) + 1;
        put_length(w, name_len + 1 + (word.len - name_len) / 2);
        writer_put(w, word.data, name_len);
        writer_put_u8(w, 0);
        return put_hex(w, (struct bytes){colon + 1, word.len - name_len});
}

static bool put_number(struct writer *w, struct bytes word, size_t size)
{
        uint64_t number = 0;

        for (size_t i = 0; i < word.len; i++) {
                if (word.data[i] < '0' || word.data[i] > '9' || i >= 10)
                        return false;
                number = 10 * number + (uint64_t)(word.data[i] - '0');
        }
        if (word.len == 0 || number > UINT32_MAX)
                return false;
        put_length(w, size);
        if (size == 2)
                writer_put_le16(w, (uint16_t)number);
        else
                writer_put_le32(w, (uint32_t)number);
        return size == 4 || number <= UINT16_MAX;
}

static bool put_text(struct writer *w, struct bytes word, bool with_nul)
{
        put_length(w, word.len + (with_nul ? 1 : 0));
        writer_put_bytes(w, word);
        if (with_nul)
                writer_put_u8(w, 0);
        return true;
}

static bool put_field(struct writer *w, enum ima_field field, struct bytes word)
{
        switch (field) {
        case IMA_FIELD_D_NG:
        case IMA_FIELD_D_NGV2:
        case IMA_FIELD_D_MODSIG:
                return put_digest(w, word);
        case IMA_FIELD_N:
                return put_text(w, word, false);
        case IMA_FIELD_N_NG:
        case IMA_FIELD_XATTRNAMES:
                return put_text(w, word, true);
        case IMA_FIELD_IUID:
        case IMA_FIELD_IGID:
                return put_number(w, word, 4);
        case IMA_FIELD_IMODE:
                return put_number(w, word, 2);
        case IMA_FIELD_D:
        case IMA_FIELD_SIG:
        case IMA_FIELD_BUF:
        case IMA_FIELD_MODSIG:
        case IMA_FIELD_EVMSIG:
        case IMA_FIELD_XATTRLENGTHS:
        case IMA_FIELD_XATTRVALUES:
        case IMA_FIELD_COUNT:
                break;
        }
        put_length(w, word.len / 2);
        return put_hex(w, word);
}

static bool get_pcr(struct bytes word, uint32_t *ret_pcr)
{
        uint32_t pcr = 0;

        if (word.len == 0 || word.len > 2)
                return false;
        for (size_t i = 0; i < word.len; i++) {
                if (word.data[i] < '0' || word.data[i] > '9')
                        return false;
                pcr = 10 * pcr + (uint32_t)(word.data[i] - '0');
        }
        *ret_pcr = pcr;
        return pcr < 24;
}

/* The template digest's length says which hash the list is in; it is the same all through. */
static bool get_digest(struct ascii *a, struct bytes word, struct ima_entry *entry)
{
        static const uint16_t algs[] = {HASH_TPM_SHA1, HASH_TPM_SHA256, HASH_TPM_SHA384,
                                        HASH_TPM_SHA512};

        for (size_t i = 0; a->log->digest_alg == NULL && i < ARRAY_SIZE(algs); i++)
                if (2 * hash_by_tpm_id(algs[i])->size == word.len)
                        a->log->digest_alg = hash_by_tpm_id(algs[i]);
        if (a->log->digest_alg == NULL || 2 * a->log->digest_alg->size != word.len)
                return false;
        if (!put_hex(&a->arena, word))
                return false;
        entry->digest.len = word.len / 2;
        entry->violation = ima_is_zero(
            (struct bytes){a->arena.data + a->arena.len - entry->digest.len, entry->digest.len});
        return true;
}

static int get_fields(struct ascii *a, struct bytes line, const struct ima_template *template)
{
        for (size_t i = 0; i < template->count; i++) {
                /* The old template's name takes the rest, spaces and all, ... */
                bool is_last = i + 1 == template->count && template->is_old;
                struct bytes word = is_last ? line : cut(&line, ' ');
                /* ... and its digest has no length. */
                bool is_bare = template->is_old && i == 0;
                bool is_good = is_bare ? put_hex(&a->arena, word)
                                       : put_field(&a->arena, template->fields[i], word);

                if (is_last)
                        line.len = 0;
                if (!is_good)
                        return REFUSE(a, "field %zu of its template", i);
        }
        return line.len == 0 ? 0 : REFUSE(a, "words after its last field");
}

static int get_line(struct ascii *a, struct bytes line, struct ima_entry *entry)
{
        struct ima_template template;

        entry->offset = (uint32_t)a->pos;
        while (line.len > 0 && line.data[0] == ' ')
                line = (struct bytes){line.data + 1, line.len - 1};
        if (!get_pcr(cut(&line, ' '), &entry->pcr))
                return REFUSE(a, "PCR index");
        if (!get_digest(a, cut(&line, ' '), entry))
                return REFUSE(a, "template digest");
        entry->template = cut(&line, ' ');
        if (entry->template.len > IMA_TEMPLATE_MAX ||
            ima_template_find(entry->template, &template) != 0)
                return REFUSE(a, "unknown template");
        return get_fields(a, line, &template);
}

/* The arena has stopped moving: entries get their views of it and are split like binary ones. */
static int settle(struct ascii *a)
{
        size_t count = a->log->count;
        int rc = writer_check(&a->arena);
        size_t len;

        if (rc != 0)
                return err_set(a->err, rc, "IMA log in ASCII");
        a->log->arena = writer_take(&a->arena, &len);
        for (a->log->count = 0; a->log->count < count; a->log->count++) {
                struct ima_entry *entry = &a->log->entries[a->log->count];
                uint8_t *start = a->log->arena + a->starts[a->log->count];
                struct ima_template template;
                const char *what = NULL;

                entry->digest.data = start;
                entry->data = (struct bytes){start + entry->digest.len,
                                             a->starts[a->log->count + 1] -
                                                 a->starts[a->log->count] - entry->digest.len};
                a->pos = entry->offset;
                if (ima_template_find(entry->template, &template) != 0 ||
                    !ima_template_split(&template, entry, &what))
                        return REFUSE(a, "%s", what == NULL ? "template data" : what);
        }
        return 0;
}

static int get_lines(struct ascii *a)
{
        struct bytes rest = a->input;

        while (rest.len > 0) {
                struct bytes line = cut(&rest, '\n');
                struct ima_entry *entry = ima_log_next(a->log, &a->room, a->err);
                int rc = entry == NULL ? a->err->code : get_line(a, line, entry);

                if (rc != 0)
                        return rc;
                a->log->count++;
                a->starts[a->log->count] = a->arena.len;
                a->pos = a->input.len - rest.len;
        }
        return 0;
}

static size_t count_lines(struct bytes input)
{
        size_t lines = 1;

        for (size_t i = 0; i < input.len; i++)
                lines += input.data[i] == '\n';
        return lines;
}

int ima_ascii_parse(struct bytes input, struct ima_log **ret_log, struct err *err)
{
        struct ima_log AUTO_IMA_LOG *log = calloc(1, sizeof(*log));
        size_t lines = count_lines(input);
        size_t AUTO_FREE *starts = calloc(lines + 1, sizeof(*starts));
        struct ascii a = {.input = input, .log = log, .starts = starts, .err = err};
        int rc;

        if (log == NULL || starts == NULL)
                return err_set(err, ERR_NO_MEMORY, "IMA log in ASCII");
        log->ascii = true;
        writer_init(&a.arena, input.len + lines * LINE_OVERHEAD);
        rc = get_lines(&a);
        if (rc == 0)
                rc = settle(&a);
        writer_done(&a.arena);
        if (rc != 0)
                return rc;
        *ret_log = TAKE(log);
        return 0;
}
