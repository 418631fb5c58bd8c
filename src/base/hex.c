#include "base/hex.h"

char *hex_encode(const void *data, size_t n, char *ret_text)
{
        static const char digits[] = "0123456789abcdef";
        const uint8_t *p = data;

        for (size_t i = 0; i < n; i++) {
                ret_text[2 * i] = digits[p[i] >> 4];
                ret_text[2 * i + 1] = digits[p[i] & 15];
        }
        ret_text[2 * n] = '\0';
        return ret_text;
}

static int digit_value(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

int hex_decode(const char *text, size_t len, uint8_t *ret_data, size_t max, size_t *ret_len)
{
        if (len % 2 != 0 || len / 2 > max)
                return ERR_MALFORMED;
        for (size_t i = 0; i < len; i++)
                if (digit_value(text[i]) < 0)
                        return ERR_MALFORMED;
        for (size_t i = 0; i < len / 2; i++)
                ret_data[i] = (uint8_t)((unsigned)digit_value(text[2 * i]) << 4 |
                                        (unsigned)digit_value(text[2 * i + 1]));
        *ret_len = len / 2;
        return 0;
}
