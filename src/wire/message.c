#include "wire/message.h"

#include <stdlib.h>
#include <string.h>

const struct wire_message *wire_message_find(const struct wire_protocol *protocol, uint16_t code)
{
        for (size_t i = 0; i < protocol->n_messages; i++)
                if (protocol->messages[i].code == code)
                        return &protocol->messages[i];
        return NULL;
}

/* Integers of all widths pass through here, so that encode and decode stay one loop each. */
static size_t integer_size(enum wire_kind kind)
{
        static const size_t sizes[] = {
            [WIRE_U8] = 1, [WIRE_U16] = 2, [WIRE_U32] = 4, [WIRE_U64] = 8, [WIRE_TEXT] = 0};

        return sizes[kind];
}

size_t wire_message_payload_max(const struct wire_message *message)
{
        size_t max = 0;

        for (size_t i = 0; i < message->n_fields; i++) {
                const struct wire_field *field = &message->fields[i];

                max += integer_size(field->kind) != 0
                           ? integer_size(field->kind)
                           : field->max + (field->kind == WIRE_FIXED ? 0 : sizeof(uint32_t));
        }
        return max;
}

static void put_integer(struct writer *w, const void *from, enum wire_kind kind)
{
        switch (kind) {
        case WIRE_U8:
                writer_put_u8(w, *(const uint8_t *)from);
                break;
        case WIRE_U16:
                writer_put_be16(w, *(const uint16_t *)from);
                break;
        case WIRE_U32:
                writer_put_be32(w, *(const uint32_t *)from);
                break;
        default:
                writer_put_be64(w, *(const uint64_t *)from);
                break;
        }
}

static int get_integer(struct reader *r, void *to, enum wire_kind kind)
{
        switch (kind) {
        case WIRE_U8:
                return reader_get_u8(r, to);
        case WIRE_U16:
                return reader_get_be16(r, to);
        case WIRE_U32:
                return reader_get_be32(r, to);
        default:
                return reader_get_be64(r, to);
        }
}

/*
 * The length of the clean character at the start, 0 if there is none: UTF-8 by RFC 3629, no
 * overlong forms, no surrogates, nothing above U+10FFFF, no control characters.
 */
static size_t clean_character(const uint8_t *p, size_t left)
{
        static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
        uint8_t c = p[0];
        size_t more = c < 0x80 ? 0 : c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
        uint32_t point = more == 0 ? c : c & (0x3fU >> more);

        if ((c >= 0x80 && c < 0xc2) || c > 0xf4 || more >= left)
                return 0;
        for (size_t k = 1; k <= more; k++) {
                if ((p[k] & 0xc0) != 0x80)
                        return 0;
                point = point << 6 | (p[k] & 0x3f);
        }
        if (point < 0x20 || (point >= 0x7f && point < 0xa0) || point < least[more] ||
            point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
                return 0;
        return more + 1;
}

static bool text_is_clean(struct bytes text)
{
        size_t i = 0;

        while (i < text.len) {
                size_t n = clean_character(text.data + i, text.len - i);

                if (n == 0)
                        return false;
                i += n;
        }
        return true;
}

struct bytes wire_text_fit(char *text, size_t max)
{
        size_t len = strlen(text);
        size_t i = 0;

        while (i < len) {
                size_t n = clean_character((const uint8_t *)text + i, len - i);

                if (n == 0) {
                        text[i] = '?';
                        n = 1;
                }
                if (i + n > max)
                        break;
                i += n;
        }
        text[i] = '\0';
        return (struct bytes){.data = (const uint8_t *)text, .len = i};
}

static int encode_field(const struct wire_field *field, const void *at, struct writer *w)
{
        const struct bytes *bytes = at;

        if (integer_size(field->kind) != 0) {
                put_integer(w, at, field->kind);
                return 0;
        }
        if (field->kind == WIRE_FIXED) {
                writer_put(w, at, field->max);
                return 0;
        }
        if (bytes->len > field->max)
                return ERR_LIMIT;
        if (field->kind == WIRE_TEXT && !text_is_clean(*bytes))
                return ERR_MALFORMED;
        writer_put_be32(w, (uint32_t)bytes->len);
        writer_put_bytes(w, *bytes);
        return 0;
}

int wire_encode(const struct wire_message *message, const void *from, struct writer *w,
                struct err *err)
{
        for (size_t i = 0; i < message->n_fields; i++) {
                const struct wire_field *field = &message->fields[i];
                int rc = encode_field(field, (const char *)from + field->offset, w);

                if (rc != 0)
                        return err_set(err, rc, "encode %s: field %s does not fit", message->name,
                                       field->name);
        }
        if (writer_check(w) != 0)
                return err_set(err, ERR_LIMIT, "encode %s: message too large", message->name);
        return 0;
}

static int decode_field(const struct wire_field *field, struct reader *r, void *at)
{
        struct bytes bytes;
        uint32_t len;
        int rc;

        if (integer_size(field->kind) != 0)
                return get_integer(r, at, field->kind);
        if (field->kind == WIRE_FIXED)
                return reader_get_copy(r, at, field->max);
        rc = reader_get_be32(r, &len);
        if (rc != 0 || len > field->max || reader_get_bytes(r, len, &bytes) != 0)
                return ERR_MALFORMED;
        if (field->kind == WIRE_TEXT && !text_is_clean(bytes))
                return ERR_MALFORMED;
        memcpy(at, &bytes, sizeof(bytes));
        return 0;
}

#define STRUCT_MAX 1024 /* bytes of the largest message struct */

int wire_decode(const struct wire_message *message, struct bytes payload, void *ret_message,
                size_t ret_size, struct err *err)
{
        _Alignas(max_align_t) uint8_t decoded[STRUCT_MAX] = {0};
        struct reader r = reader_from_bytes(payload);

        if (ret_size != message->size || message->size > sizeof(decoded))
                abort(); /* a table and its struct disagree: ours, not the peer's */
        for (size_t i = 0; i < message->n_fields; i++) {
                const struct wire_field *field = &message->fields[i];
                size_t offset = reader_offset(&r);

                if (decode_field(field, &r, decoded + field->offset) != 0)
                        return err_set(err, ERR_MALFORMED, "%s: bad field %s at offset %zu",
                                       message->name, field->name, offset);
        }
        if (reader_finish(&r) != 0)
                return err_set(err, ERR_MALFORMED, "%s: %zu bytes too many", message->name,
                               reader_left(&r));
        memcpy(ret_message, decoded, message->size);
        return 0;
}

struct bytes wire_text(const char *text)
{
        return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

const char *wire_text_copy(struct bytes text, char *ret_text, size_t size)
{
        size_t n = text.len < size - 1 ? text.len : size - 1;

        if (n > 0)
                memcpy(ret_text, text.data, n);
        ret_text[n] = '\0';
        return ret_text;
}
