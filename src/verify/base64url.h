/*
 * base64url without padding (RFC 4648, 5; RFC 7515, 2), strict: every string of bytes has exactly
 * one text.
 */
#ifndef VERIFY_BASE64URL_H
#define VERIFY_BASE64URL_H

#include <stddef.h>
#include <stdint.h>

#include "base/reader.h"
#include "base/writer.h"

/* Characters for n bytes, without a NUL. */
#define BASE64URL_LEN(n) (((n)*4 + 2) / 3)

/* Appends the text. */
void base64url_put(struct writer *w, struct bytes data);

/*
 * Appends the bytes of text. ERR_MALFORMED for padding, other alphabets, white space, an
 * impossible length and unused bits that are not zero.
 */
int base64url_decode(struct bytes text, struct writer *w) MUST_CHECK;

#endif
