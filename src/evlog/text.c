#include "evlog/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CUT_MARK "..."

void text_init(struct text *text, char *memory, size_t size)
{
        *text = (struct text){.data = memory, .size = size};
        memory[0] = '\0';
}

/* All or nothing, so that a cut never splits an escape or a UTF-8 sequence. */
static void put(struct text *text, const char *piece, size_t len)
{
        if (text->cut)
                return;
        if (len > text->size - text->len - sizeof(CUT_MARK)) {
                memcpy(text->data + text->len, CUT_MARK, sizeof(CUT_MARK));
                text->len += sizeof(CUT_MARK) - 1;
                text->cut = true;
                return;
        }
        memcpy(text->data + text->len, piece, len);
        text->len += len;
        text->data[text->len] = '\0';
}

void text_add(struct text *text, const char *fmt, ...)
{
        char piece[256];
        va_list ap;
        int n;

        va_start(ap, fmt);
        n = vsnprintf(piece, sizeof(piece), fmt, ap);
        va_end(ap);
        if (n > 0)
                put(text, piece, (size_t)n < sizeof(piece) ? (size_t)n : sizeof(piece) - 1);
}

static bool is_printable(unsigned c)
{
        return c >= 0x20 && c < 0x7f;
}

void text_add_ascii(struct text *text, struct bytes bytes)
{
        while (bytes.len > 0 && bytes.data[bytes.len - 1] == '\0')
                bytes.len--;
        for (size_t i = 0; i < bytes.len && !text->cut; i++) {
                char c = (char)bytes.data[i];

                if (is_printable(bytes.data[i]))
                        put(text, &c, 1);
                else
                        text_add(text, c == '\n' ? "\\n" : "\\x%02x", bytes.data[i]);
        }
}

static unsigned utf16_unit(struct bytes bytes, size_t i)
{
        return (unsigned)bytes.data[i] | (unsigned)bytes.data[i + 1] << 8;
}

/* Code points above ASCII in two or three bytes; surrogates have been sent elsewhere. */
static void put_utf8(struct text *text, unsigned c)
{
        char two[] = {(char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))};
        char three[] = {(char)(0xe0 | c >> 12), (char)(0x80 | (c >> 6 & 0x3f)),
                        (char)(0x80 | (c & 0x3f))};

        if (c < 0x800)
                put(text, two, sizeof(two));
        else
                put(text, three, sizeof(three));
}

void text_add_utf16(struct text *text, struct bytes bytes)
{
        for (size_t i = 0; i + 1 < bytes.len && !text->cut; i += 2) {
                unsigned c = utf16_unit(bytes, i);
                char ascii = (char)c;

                if (c == 0)
                        return;
                if (is_printable(c))
                        put(text, &ascii, 1);
                else if (c < 0xa0 || (c >= 0xd800 && c <= 0xdfff) || c >= 0xfffe ||
                         (c >= 0x2028 && c <= 0x202e))
                        text_add(text, "\\u%04x", c);
                else
                        put_utf8(text, c);
        }
}

void text_add_hex(struct text *text, struct bytes bytes)
{
        size_t shown = bytes.len < TEXT_HEX_MAX ? bytes.len : TEXT_HEX_MAX;

        for (size_t i = 0; i < shown; i++)
                text_add(text, "%02x", bytes.data[i]);
        if (shown < bytes.len)
                text_add(text, "... (%zu bytes)", bytes.len);
}

void text_add_guid(struct text *text, const uint8_t g[static TEXT_GUID_LEN])
{
        text_add(text, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", g[3],
                 g[2], g[1], g[0], g[5], g[4], g[7], g[6], g[8], g[9], g[10], g[11], g[12], g[13],
                 g[14], g[15]);
}

bool text_is_ascii(struct bytes bytes)
{
        while (bytes.len > 0 && bytes.data[bytes.len - 1] == '\0')
                bytes.len--;
        if (bytes.len > 0 && bytes.data[bytes.len - 1] == '\n')
                bytes.len--;
        for (size_t i = 0; i < bytes.len; i++)
                if (!is_printable(bytes.data[i]))
                        return false;
        return bytes.len > 0;
}

bool text_is_utf16(struct bytes bytes)
{
        while (bytes.len >= 2 && bytes.data[bytes.len - 1] == 0 && bytes.data[bytes.len - 2] == 0)
                bytes.len -= 2;
        for (size_t i = 0; i + 1 < bytes.len; i += 2)
                if (!is_printable(utf16_unit(bytes, i)))
                        return false;
        return bytes.len >= 4 && bytes.len % 2 == 0;
}
