#include "base/table.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/macro.h"

#define BUCKETS_MIN 64

/* ---- SipHash-2-4, Aumasson and Bernstein, 2012 ---- */

static uint64_t rotate(uint64_t x, unsigned n)
{
        return x << n | x >> (64 - n);
}

static void mix(uint64_t v[4], int rounds)
{
        while (rounds-- > 0) {
                v[0] += v[1];
                v[1] = rotate(v[1], 13) ^ v[0];
                v[0] = rotate(v[0], 32);
                v[2] += v[3];
                v[3] = rotate(v[3], 16) ^ v[2];
                v[0] += v[3];
                v[3] = rotate(v[3], 21) ^ v[0];
                v[2] += v[1];
                v[1] = rotate(v[1], 17) ^ v[2];
                v[2] = rotate(v[2], 32);
        }
}

static uint64_t get_le64(const uint8_t *bytes, size_t n)
{
        uint64_t x = 0;

        for (size_t i = 0; i < n; i++)
                x |= (uint64_t)bytes[i] << 8 * i;
        return x;
}

uint64_t table_hash(const uint64_t secret[2], const void *data, size_t len)
{
        const uint8_t *bytes = data;
        uint64_t v[4] = {secret[0] ^ 0x736f6d6570736575U, secret[1] ^ 0x646f72616e646f6dU,
                         secret[0] ^ 0x6c7967656e657261U, secret[1] ^ 0x7465646279746573U};
        const size_t whole = len & ~(size_t)7;
        uint64_t word;

        for (size_t i = 0; i < whole; i += 8) {
                word = get_le64(bytes + i, 8);
                v[3] ^= word;
                mix(v, 2);
                v[0] ^= word;
        }
        word = (uint64_t)len << 56 | get_le64(bytes + whole, len - whole);
        v[3] ^= word;
        mix(v, 2);
        v[0] ^= word;
        v[2] ^= 0xff;
        mix(v, 4);
        return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* ---- the table ---- */

static struct table_entry **bucket(const struct table *table, uint64_t hash)
{
        return &table->buckets[hash & (table->n_buckets - 1)];
}

int table_init(struct table *table, struct err *err)
{
        struct table fresh = {.n_buckets = BUCKETS_MIN};

        if (getrandom(fresh.secret, sizeof(fresh.secret), 0) != (ssize_t)sizeof(fresh.secret))
                return err_set_errno(err, errno, "getrandom");
        fresh.buckets = calloc(fresh.n_buckets, sizeof(struct table_entry *));
        if (fresh.buckets == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        *table = fresh;
        return 0;
}

void table_done(struct table *table)
{
        free(table->buckets);
        memset(table, 0, sizeof(*table));
}

/* Without memory for it the chains become longer, and that is all. */
static void grow(struct table *table)
{
        struct table bigger = *table;

        bigger.n_buckets = table->n_buckets * 2;
        if (bigger.n_buckets == 0)
                return;
        bigger.buckets = calloc(bigger.n_buckets, sizeof(struct table_entry *));
        if (bigger.buckets == NULL)
                return;
        for (size_t i = 0; i < table->n_buckets; i++)
                while (table->buckets[i] != NULL) {
                        struct table_entry *entry = table->buckets[i];
                        struct table_entry **at = bucket(&bigger, entry->hash);

                        table->buckets[i] = entry->next;
                        entry->next = *at;
                        *at = entry;
                }
        free(table->buckets);
        *table = bigger;
}

struct table_entry *table_find(const struct table *table, const void *key, size_t len)
{
        const uint64_t hash = table_hash(table->secret, key, len);

        if (table->n == 0)
                return NULL;
        for (struct table_entry *entry = *bucket(table, hash); entry != NULL; entry = entry->next)
                if (entry->hash == hash && entry->len == len && memcmp(entry->key, key, len) == 0)
                        return entry;
        return NULL;
}

int table_add(struct table *table, struct table_entry *entry, const void *key, size_t len,
              struct err *err)
{
        struct table_entry **at;

        if (table_find(table, key, len) != NULL)
                return err_set(err, ERR_CONFLICT, "there is one already");
        if (table->n >= table->n_buckets)
                grow(table);
        *entry = (struct table_entry){
            .key = key, .len = len, .hash = table_hash(table->secret, key, len)};
        at = bucket(table, entry->hash);
        entry->next = *at;
        *at = entry;
        table->n++;
        return 0;
}

struct table_entry *table_next(const struct table *table, const struct table_entry *after)
{
        size_t at = after == NULL ? 0 : (after->hash & (table->n_buckets - 1)) + 1;

        if (after != NULL && after->next != NULL)
                return after->next;
        while (at < table->n_buckets && table->buckets[at] == NULL)
                at++;
        return at < table->n_buckets ? table->buckets[at] : NULL;
}

void table_remove(struct table *table, struct table_entry *entry)
{
        struct table_entry **at;

        if (entry->key == NULL)
                return;
        at = bucket(table, entry->hash);
        while (*at != entry)
                at = &(*at)->next;
        *at = entry->next;
        table->n--;
        memset(entry, 0, sizeof(*entry));
}
