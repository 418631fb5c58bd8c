#include "verify/base64url.h"

#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void base64url_put(struct writer *w, struct bytes data)
{
        uint32_t bits = 0;
        unsigned n = 0;

        for (size_t i = 0; i < data.len; i++) {
                bits = (bits << 8 | data.data[i]) & 0xffff;
                n += 8;
                for (; n >= 6; n -= 6)
                        writer_put_u8(w, (uint8_t)alphabet[bits >> (n - 6) & 0x3f]);
        }
        if (n > 0)
                writer_put_u8(w, (uint8_t)alphabet[bits << (6 - n) & 0x3f]);
}

int base64url_decode(struct bytes text, struct writer *w)
{
        uint32_t bits = 0;
        unsigned n = 0;

        if (text.len % 4 == 1)
                return ERR_MALFORMED;
        for (size_t i = 0; i < text.len; i++) {
                const char *at = memchr(alphabet, text.data[i], sizeof(alphabet) - 1);

                if (at == NULL)
                        return ERR_MALFORMED;
                bits = (bits << 6 | (uint32_t)(at - alphabet)) & 0xfffff;
                n += 6;
                if (n >= 8) {
                        n -= 8;
                        writer_put_u8(w, (uint8_t)(bits >> n & 0xff));
                }
        }
        return (bits & ((1U << n) - 1)) == 0 ? 0 : ERR_MALFORMED;
}
