#include "base/reader.h"

#include <string.h>

struct reader reader_from(const void *data, size_t size)
{
        return (struct reader){.data = data, .size = size};
}

struct reader reader_from_bytes(struct bytes bytes)
{
        return reader_from(bytes.data, bytes.len);
}

/* Takes n bytes, or NULL when fewer are left. */
static const uint8_t *take(struct reader *r, size_t n)
{
        const uint8_t *p;

        if (n > reader_left(r))
                return NULL;
        /* An empty reader may have no memory at all; NULL + 0 is left alone. */
        p = r->data == NULL ? (const uint8_t *)"" : r->data + r->pos;
        r->pos += n;
        return p;
}

static int get_integer(struct reader *r, size_t n, bool big, uint64_t *ret)
{
        const uint8_t *p = take(r, n);
        uint64_t v = 0;

        if (p == NULL)
                return ERR_MALFORMED;
        for (size_t i = 0; i < n; i++)
                v = v << 8 | p[big ? i : n - 1 - i];
        *ret = v;
        return 0;
}

#define DEFINE_GETTER(name, type, big)                                                             \
        int reader_get_##name(struct reader *r, type *ret)                                         \
        {                                                                                          \
                uint64_t v;                                                                        \
                int rc = get_integer(r, sizeof(type), big, &v);                                    \
                if (rc != 0)                                                                       \
                        return rc;                                                                 \
                *ret = (type)v;                                                                    \
                return 0;                                                                          \
        }

DEFINE_GETTER(u8, uint8_t, true)
DEFINE_GETTER(be16, uint16_t, true)
DEFINE_GETTER(be32, uint32_t, true)
DEFINE_GETTER(be64, uint64_t, true)
DEFINE_GETTER(le16, uint16_t, false)
DEFINE_GETTER(le32, uint32_t, false)
DEFINE_GETTER(le64, uint64_t, false)

int reader_get_bytes(struct reader *r, size_t n, struct bytes *ret)
{
        const uint8_t *p = take(r, n);

        if (p == NULL)
                return ERR_MALFORMED;
        *ret = (struct bytes){.data = p, .len = n};
        return 0;
}

int reader_get_copy(struct reader *r, void *ret, size_t n)
{
        const uint8_t *p = take(r, n);

        if (p == NULL)
                return ERR_MALFORMED;
        memcpy(ret, p, n);
        return 0;
}

int reader_get_child(struct reader *r, size_t n, struct reader *ret)
{
        size_t offset = reader_offset(r);
        const uint8_t *p = take(r, n);

        if (p == NULL)
                return ERR_MALFORMED;
        *ret = (struct reader){.data = p, .size = n, .base = offset};
        return 0;
}

int reader_get_tpm2b(struct reader *r, size_t max, struct bytes *ret)
{
        struct reader at = *r;
        uint16_t n;

        if (reader_get_be16(&at, &n) != 0 || n > max || reader_get_bytes(&at, n, ret) != 0)
                return ERR_MALFORMED;
        *r = at;
        return 0;
}

int reader_skip(struct reader *r, size_t n)
{
        return take(r, n) == NULL ? ERR_MALFORMED : 0;
}

int reader_finish(const struct reader *r)
{
        return reader_left(r) == 0 ? 0 : ERR_MALFORMED;
}

bool bytes_equal(struct bytes a, struct bytes b)
{
        return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}
