/*
 * The counterpart of the reader: puts integers and bytes into memory that grows up to a
 * maximum, or into memory that the caller lent. An overflow is remembered, so a sequence of puts
 * is checked once at its end with writer_check().
 */
#ifndef BASE_WRITER_H
#define BASE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/reader.h"

struct writer {
        uint8_t *data;
        size_t len;
        size_t cap;
        size_t max;
        bool owned;  /* data came from malloc and grows */
        bool failed; /* something did not fit */
};

/* Grows on the heap up to max bytes; release with writer_done(). */
void writer_init(struct writer *w, size_t max);

/* Writes into size bytes that the caller owns; needs no writer_done(). */
void writer_init_fixed(struct writer *w, void *memory, size_t size);

/* Wipes and frees what a growing writer holds. */
void writer_done(struct writer *w);
#define AUTO_WRITER CLEANUP(writer_done)

void writer_put_u8(struct writer *w, uint8_t v);
void writer_put_be16(struct writer *w, uint16_t v);
void writer_put_be32(struct writer *w, uint32_t v);
void writer_put_be64(struct writer *w, uint64_t v);
void writer_put_le16(struct writer *w, uint16_t v);
void writer_put_le32(struct writer *w, uint32_t v);
void writer_put_le64(struct writer *w, uint64_t v);
void writer_put(struct writer *w, const void *data, size_t n);
void writer_put_bytes(struct writer *w, struct bytes bytes);
void writer_put_text(struct writer *w, const char *text); /* without its NUL */

/* A be16 length and the bytes; more than 65535 bytes fail. */
void writer_put_tpm2b(struct writer *w, struct bytes bytes);

/* Room for n bytes to be filled by the caller, or NULL after an overflow. */
uint8_t *writer_reserve(struct writer *w, size_t n);

/* Overwrites a be32 that was put at this offset earlier (a length known only afterwards). */
void writer_patch_be32(struct writer *w, size_t offset, uint32_t v);

/* 0, or ERR_LIMIT if anything did not fit. */
int writer_check(const struct writer *w) MUST_CHECK;

/* What was put so far, as a view that the next put ends. */
struct bytes writer_bytes(const struct writer *w);

/* Gives the grown memory away; the writer is empty afterwards. Free it with free(). */
uint8_t *writer_take(struct writer *w, size_t *ret_len);

#endif
