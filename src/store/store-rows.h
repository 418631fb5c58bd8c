/*
 * What the parts of the store share: its handle, and instances as rows.
 */
#ifndef STORE_STORE_ROWS_H
#define STORE_STORE_ROWS_H

#include "store/db.h"
#include "store/heads.h"
#include "store/sealed.h"
#include "store/store.h"

struct journal;
struct overlay;

/* An instance with what its row says about its saves, [kind - 1]. */
struct row {
        struct store_instance instance;
        struct head head[HEADS_KINDS];
};

struct store {
        struct db *db;
        struct journal *journal;
        struct overlay *overlay; /* what only the journal has, and saves that are not committed */
        struct sealer *sealer;   /* NULL until unlocked */
        struct hmac *heads_mac;  /* NULL until unlocked */
        uint64_t generation;
        struct heads committed;
        struct heads working; /* with the changes since store_begin() that the database has */
        bool in_transaction;
        /* A failed commit may be on the disk nevertheless, in the journal or in the database's
         * log. Only the database can replace either by another of the same generation. */
        bool must_use_database;
        bool has_last; /* the row that was read last is what the database has */
        struct row last;
        bool deleted; /* something was, since store_begin() */
        bool scrub;   /* something was, since the last checkpoint */
};

/*
 * A transaction of nothing but saves goes to the journal. With the first other change, or when
 * there are too many, it moves to the database: this gives it all that the overlay has.
 */
int store_use_database(struct store *store, struct err *err) MUST_CHECK;

/* Whether readers must look at the overlay first: outside of a transaction of the database. */
bool store_uses_overlay(const struct store *store);

/* ERR_FAILED unless the store is unlocked and in a transaction. */
int store_check_change(const struct store *store, struct err *err) MUST_CHECK;

/* The row of a uuid (ERR_NOT_FOUND), or the first that a call finds, with its MACs checked. */
int row_get(struct store *store, const uint8_t *uuid, struct row *ret_row,
            struct err *err) MUST_CHECK;
int row_query(struct store *store, const struct db_call *call, bool *ret_found, struct row *ret_row,
              struct err *err) MUST_CHECK;

/* Updates a row and makes more calls, without a word to the heads. */
#define ROW_CALLS_MAX (HEADS_KINDS + 1)
int row_write(struct store *store, const struct row *row, const struct db_call *more, size_t n_more,
              struct err *err) MUST_CHECK;

/*
 * Replaces a row (old NULL: inserts it; new NULL: removes it) together with more calls, and
 * keeps the heads in step. At most ROW_CALLS_MAX more calls.
 */
int row_change(struct store *store, const struct row *old, const struct row *new,
               const struct db_call *more, size_t n_more, struct err *err) MUST_CHECK;

static inline struct db_value db_number(uint64_t number)
{
        return (struct db_value){.type = DB_NUMBER, .number = number};
}

static inline struct db_value db_bytes(const void *data, size_t len)
{
        return (struct db_value){.type = DB_BYTES, .bytes = {data, len}};
}

/* A text as a parameter; it must outlive the call. */
struct db_value db_text(const char *text);

#endif
