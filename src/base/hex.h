/*
 * Hexadecimal text, lower case out, both cases in.
 */
#ifndef BASE_HEX_H
#define BASE_HEX_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Writes 2*n digits and a NUL; ret_text has room for 2*n + 1 bytes. Returns ret_text. */
char *hex_encode(const void *data, size_t n, char *ret_text);

/*
 * Decodes all of text (len characters, an even number of digits and nothing else) into at most
 * max bytes. ERR_MALFORMED otherwise.
 */
int hex_decode(const char *text, size_t len, uint8_t *ret_data, size_t max,
               size_t *ret_len) MUST_CHECK;

#endif
