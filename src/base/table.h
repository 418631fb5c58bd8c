/*
 * A hash table of structures that somebody else owns, found by a key of bytes. An entry is a member
 * of the structure, so that adding one needs no memory but the buckets'. Keys are hashed with
 * SipHash-2-4 under a random key of the table: who chooses the names cannot choose the bucket.
 */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct table_entry {
        struct table_entry *next;
        const void *key; /* len bytes, the owner's; they stay the same while it is in the table */
        size_t len;
        uint64_t hash;
};

struct table {
        struct table_entry **buckets;
        size_t n_buckets; /* a power of 2 */
        size_t n;
        uint64_t secret[2];
};

/* An empty table. */
int table_init(struct table *table, struct err *err) MUST_CHECK;

/* Forgets all entries. Also of a table of zeros, which is as good as an empty one to look in. */
void table_done(struct table *table);

/* ERR_CONFLICT: there is one with this key. The table grows by itself. */
int table_add(struct table *table, struct table_entry *entry, const void *key, size_t len,
              struct err *err) MUST_CHECK;

/* The entry with this key, or NULL. */
struct table_entry *table_find(const struct table *table, const void *key, size_t len);

/*
 * All entries one after the other, in no order; NULL: from the start, and at the end. Whoever takes
 * one out asks for the next before.
 */
struct table_entry *table_next(const struct table *table, const struct table_entry *after);

/* Takes an entry out; one that is not in it (all zeros) is left alone. */
void table_remove(struct table *table, struct table_entry *entry);

/* The structure that the entry is a member of. */
#define TABLE_OWNER(entry, type, member) ((type *)(void *)((char *)(entry)-offsetof(type, member)))

/* SipHash-2-4 of the bytes. */
uint64_t table_hash(const uint64_t secret[2], const void *data, size_t len);

#endif
