/*
 * Words made of untrusted bytes: a bounded string that takes whatever a log holds and stays
 * printable UTF-8 on one line. What does not fit is cut and marked.
 */
#ifndef EVLOG_TEXT_H
#define EVLOG_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/reader.h"

#define TEXT_SIZE     4096 /* of the buffer that most callers lend */
#define TEXT_HEX_MAX  32   /* bytes of unknown data that are shown */
#define TEXT_GUID_LEN 16

struct text {
        char *data; /* always terminated */
        size_t len;
        size_t size;
        bool cut; /* the text ends in "..." and takes no more */
};

/* Starts an empty text in memory that the caller lends; size is at least 8. */
void text_init(struct text *text, char *memory, size_t size);

/* Our own words, at most 255 bytes a call; never bytes of a log through %s. */
void text_add(struct text *text, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Bytes of a string, up to a NUL at its end; control bytes and all above ASCII as \xNN. */
void text_add_ascii(struct text *text, struct bytes bytes);

/* UTF-16LE up to a NUL, as UTF-8; control characters and lone surrogates as \uNNNN. */
void text_add_utf16(struct text *text, struct bytes bytes);

/* At most TEXT_HEX_MAX bytes in hex, then how many there are. */
void text_add_hex(struct text *text, struct bytes bytes);

/* 8be4df61-93ca-11d2-aa0d-00e098032b8c out of its 16 mixed-endian bytes (UEFI 2.10, A). */
void text_add_guid(struct text *text, const uint8_t guid[static TEXT_GUID_LEN]);

/* Whether bytes are a printable ASCII string, perhaps with NULs or a newline at its end. */
bool text_is_ascii(struct bytes bytes);

/* Whether bytes look like a UTF-16LE string of printable ASCII. */
bool text_is_utf16(struct bytes bytes);

#endif
