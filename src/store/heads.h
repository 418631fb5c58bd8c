/*
 * The heads record: one MAC over the generation and over all rows of the store, kept up to date
 * with two HMACs a change. The rows form a keyed multiset hash, the XOR of an HMAC of each
 * (MSet-XOR-Hash: D. Clarke et al., "Incremental Multiset Hash Functions", 2003). The XOR itself
 * never leaves the process, so rows of different times cannot be combined to give it.
 */
#ifndef STORE_HEADS_H
#define STORE_HEADS_H

#include <stdint.h>

#include "base/err.h"
#include "base/reader.h"
#include "crypto/hmac.h"
#include "store/store.h"

#define HEADS_LEN     32
#define HEADS_KINDS   8 /* kinds of state that a row has room for; part of the format */
#define HEADS_TAG_LEN 16

/* What an instance's row says about its latest save of one kind. */
struct head {
        uint64_t sequence;          /* 0: never saved */
        uint8_t tag[HEADS_TAG_LEN]; /* the last bytes of the sealed state */
};

struct heads {
        uint8_t sum[HEADS_LEN];
        uint64_t rows;
};

/* Adds or removes a record's or an instance's row. */
int heads_add_record(struct heads *heads, struct hmac *key, const char *name, struct bytes value,
                     struct err *err) MUST_CHECK;
int heads_remove_record(struct heads *heads, struct hmac *key, const char *name, struct bytes value,
                        struct err *err) MUST_CHECK;
int heads_add_instance(struct heads *heads, struct hmac *key, const struct store_instance *instance,
                       const struct head *head, struct err *err) MUST_CHECK;
int heads_remove_instance(struct heads *heads, struct hmac *key,
                          const struct store_instance *instance, const struct head *head,
                          struct err *err) MUST_CHECK;

/* An instance's row as what it adds to the heads, and replacing one row by another. */
int heads_instance_leaf(struct hmac *key, const struct store_instance *instance,
                        const struct head *head, uint8_t ret_leaf[HEADS_LEN],
                        struct err *err) MUST_CHECK;
void heads_replace(struct heads *heads, const uint8_t old[HEADS_LEN], const uint8_t by[HEADS_LEN]);

/* The MAC that is stored with this generation. */
int heads_mac(const struct heads *heads, struct hmac *key, uint64_t generation,
              uint8_t ret_mac[HEADS_LEN], struct err *err) MUST_CHECK;

/* The MAC of a record of the journal (journal.h) with the rows as they are after it. */
int heads_mac_saves(const struct heads *heads, struct hmac *key, struct bytes record,
                    uint8_t ret_mac[HEADS_LEN], struct err *err) MUST_CHECK;

#endif
