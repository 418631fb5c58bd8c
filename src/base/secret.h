/*
 * Keys in memory: pages that are locked, kept out of core dumps and of forked children, hidden
 * from other processes where the kernel offers memfd_secret(2), and wiped when released.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define SECRET_LEN_MAX   256 /* bytes of one secret */
#define SECRET_COUNT_MAX 1024

struct secret {
        uint8_t *data;
        size_t len;
};

/* Zeroed room for len bytes, 1 to SECRET_LEN_MAX. ERR_LIMIT when the arena is full. */
int secret_new(size_t len, struct secret **ret_secret, struct err *err) MUST_CHECK;

/* A secret with these bytes; the caller wipes its own copy. */
int secret_new_copy(const void *data, size_t len, struct secret **ret_secret,
                    struct err *err) MUST_CHECK;

/* len bytes from the kernel (getrandom(2)); there is no other source, failure is an error. */
int secret_new_random(size_t len, struct secret **ret_secret, struct err *err) MUST_CHECK;

/* Wipes and releases; NULL is allowed. */
void secret_free(struct secret *secret);
DEFINE_CLEANUP(struct secret *, secret_free)
#define AUTO_SECRET CLEANUP(secret_free_p)

/* Constant-time comparison of n bytes. */
bool secret_equal(const void *a, const void *b, size_t n);

/* True when the pages are really hidden or at least locked; false is worth a warning. */
bool secret_is_locked(void);

#endif
