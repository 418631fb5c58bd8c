/*
 * The one bounded reader for bytes from outside. Every getter compares before it computes,
 * writes its output only on success and leaves the position where it was on failure, so that
 * reader_offset() names the place of the error.
 */
#ifndef BASE_READER_H
#define BASE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* A view of bytes that somebody else owns. */
struct bytes {
        const uint8_t *data;
        size_t len;
};

struct reader {
        const uint8_t *data;
        size_t size; /* bytes that may be read */
        size_t pos;  /* pos <= size always */
        size_t base; /* offset of data[0] in the outermost input, for messages */
};

/* Over memory that the caller keeps while the reader is used. */
struct reader reader_from(const void *data, size_t size);
struct reader reader_from_bytes(struct bytes bytes);

static inline size_t reader_left(const struct reader *r)
{
        return r->size - r->pos;
}

/* Offset of the next byte in the outermost input. */
static inline size_t reader_offset(const struct reader *r)
{
        return r->base + r->pos;
}

/* All getters return 0 or ERR_MALFORMED (too few bytes left, or more than max). */
int reader_get_u8(struct reader *r, uint8_t *ret) MUST_CHECK;
int reader_get_be16(struct reader *r, uint16_t *ret) MUST_CHECK;
int reader_get_be32(struct reader *r, uint32_t *ret) MUST_CHECK;
int reader_get_be64(struct reader *r, uint64_t *ret) MUST_CHECK;
int reader_get_le16(struct reader *r, uint16_t *ret) MUST_CHECK;
int reader_get_le32(struct reader *r, uint32_t *ret) MUST_CHECK;
int reader_get_le64(struct reader *r, uint64_t *ret) MUST_CHECK;

/* The next n bytes as a view into the input, as a copy, or as a reader of their own. */
int reader_get_bytes(struct reader *r, size_t n, struct bytes *ret) MUST_CHECK;
int reader_get_copy(struct reader *r, void *ret, size_t n) MUST_CHECK;
int reader_get_child(struct reader *r, size_t n, struct reader *ret) MUST_CHECK;

/* A be16 length of at most max, then that many bytes (TPM2B, TPM 2.0 Part 2, 10.4). */
int reader_get_tpm2b(struct reader *r, size_t max, struct bytes *ret) MUST_CHECK;

/* Passes over n bytes; ERR_MALFORMED if fewer are left. */
int reader_skip(struct reader *r, size_t n) MUST_CHECK;

/* 0 if everything was read, otherwise ERR_MALFORMED. */
int reader_finish(const struct reader *r) MUST_CHECK;

bool bytes_equal(struct bytes a, struct bytes b); /* not constant time: public data only */

#endif
