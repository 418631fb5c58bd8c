#include "base/writer.h"

#include <stdlib.h>
#include <string.h>

void writer_init(struct writer *w, size_t max)
{
        *w = (struct writer){.max = max, .owned = true};
}

void writer_init_fixed(struct writer *w, void *memory, size_t size)
{
        *w = (struct writer){.data = memory, .cap = size, .max = size};
}

void writer_done(struct writer *w)
{
        if (w->owned && w->data != NULL) {
                explicit_bzero(w->data, w->cap);
                free(w->data);
        }
        *w = (struct writer){.owned = w->owned, .max = w->max};
}

/* Moves by hand instead of realloc(): what the old place held is wiped. */
static bool grow(struct writer *w, size_t need)
{
        size_t cap = w->cap < 256 ? 256 : w->cap;
        uint8_t *data;

        while (cap < need)
                cap = cap > w->max / 2 ? w->max : cap * 2;
        data = malloc(cap);
        if (data == NULL)
                return false;
        if (w->data != NULL) {
                memcpy(data, w->data, w->len);
                explicit_bzero(w->data, w->cap);
                free(w->data);
        }
        w->data = data;
        w->cap = cap;
        return true;
}

uint8_t *writer_reserve(struct writer *w, size_t n)
{
        uint8_t *p;

        if (w->failed || n > w->max - w->len) {
                w->failed = true;
                return NULL;
        }
        if (w->len + n > w->cap && (!w->owned || !grow(w, w->len + n))) {
                w->failed = true;
                return NULL;
        }
        p = w->data + w->len;
        w->len += n;
        return p;
}

void writer_put(struct writer *w, const void *data, size_t n)
{
        uint8_t *p;

        if (n == 0)
                return;
        p = writer_reserve(w, n);
        if (p != NULL)
                memcpy(p, data, n);
}

void writer_put_bytes(struct writer *w, struct bytes bytes)
{
        writer_put(w, bytes.data, bytes.len);
}

void writer_put_text(struct writer *w, const char *text)
{
        writer_put(w, text, strlen(text));
}

static void put_integer(struct writer *w, uint64_t v, size_t n, bool big)
{
        uint8_t *p = writer_reserve(w, n);

        if (p == NULL)
                return;
        for (size_t i = 0; i < n; i++)
                p[big ? n - 1 - i : i] = (uint8_t)(v >> (8 * i));
}

void writer_put_u8(struct writer *w, uint8_t v)
{
        put_integer(w, v, 1, true);
}

void writer_put_be16(struct writer *w, uint16_t v)
{
        put_integer(w, v, 2, true);
}

void writer_put_be32(struct writer *w, uint32_t v)
{
        put_integer(w, v, 4, true);
}

void writer_put_be64(struct writer *w, uint64_t v)
{
        put_integer(w, v, 8, true);
}

void writer_put_le16(struct writer *w, uint16_t v)
{
        put_integer(w, v, 2, false);
}

void writer_put_le32(struct writer *w, uint32_t v)
{
        put_integer(w, v, 4, false);
}

void writer_put_le64(struct writer *w, uint64_t v)
{
        put_integer(w, v, 8, false);
}

void writer_put_tpm2b(struct writer *w, struct bytes bytes)
{
        if (bytes.len > UINT16_MAX) {
                w->failed = true;
                return;
        }
        writer_put_be16(w, (uint16_t)bytes.len);
        writer_put_bytes(w, bytes);
}

void writer_patch_be32(struct writer *w, size_t offset, uint32_t v)
{
        if (w->failed || w->len < 4 || offset > w->len - 4) {
                w->failed = true;
                return;
        }
        for (size_t i = 0; i < 4; i++)
                w->data[offset + 3 - i] = (uint8_t)(v >> (8 * i));
}

int writer_check(const struct writer *w)
{
        return w->failed ? ERR_LIMIT : 0;
}

struct bytes writer_bytes(const struct writer *w)
{
        return (struct bytes){.data = w->data, .len = w->len};
}

uint8_t *writer_take(struct writer *w, size_t *ret_len)
{
        uint8_t *data = w->data;

        *ret_len = w->len;
        w->data = NULL;
        w->len = w->cap = 0;
        return data;
}
