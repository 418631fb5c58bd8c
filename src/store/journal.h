/*
 * The journal of saves: what guests' TPMs write most often is appended here with one durable
 * write, and folded into the database later, many at once. The file lies beside the database
 * ("PATH-saves") and has a fixed size; nothing but saves goes into it.
 *
 *   record: magic be32 ‖ length be32 ‖ generation be64 ‖ count be32
 *           ‖ count × (uuid[16] ‖ kind be32 ‖ sequence be64 ‖ length be32 ‖ sealed state)
 *           ‖ mac[32]
 *
 * Records start at multiples of JOURNAL_BLOCK. Each is a commit: its generation is one more than
 * that of the record before it, and of the database for the first. The MAC is over the record
 * and over all rows as they are after it (heads.h), so that a record of another store, time or
 * place does not verify. Records that the database has already are left where they are: their
 * generation says so.
 */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/reader.h"
#include "store/block.h"

#define JOURNAL_FORMAT     1
#define JOURNAL_MAGIC      (UINT32_C(0x434a5300) + JOURNAL_FORMAT) /* "CJS" and the format */
#define JOURNAL_BLOCK      4096U
#define JOURNAL_LEN        (4U << 20)
#define JOURNAL_RECORD_MAX (1U << 20) /* with its MAC */
#define JOURNAL_MAC_LEN    32
#define JOURNAL_SUFFIX     "-saves"

struct journal_save {
        uint8_t uuid[BLOCK_UUID_LEN];
        uint32_t kind;
        uint64_t sequence;
        struct bytes sealed;
};

/* --- records as bytes (journal-record.c) ---------------------------------------------------- */

/* A record that is well formed; who wrote it only its MAC says. */
struct journal_record {
        uint64_t generation;
        uint32_t count;
        struct bytes body;  /* what the MAC covers */
        struct reader rest; /* for journal_record_next() */
        const uint8_t *mac; /* JOURNAL_MAC_LEN bytes */
        size_t blocks;      /* that it takes in the file */
};

struct writer;

/* Starts a record, adds a save to it, and ends it with its MAC; writer_check() tells overflow. */
void journal_record_begin(struct writer *w, uint64_t generation);
void journal_record_add(struct writer *w, const struct journal_save *save);
void journal_record_end(struct writer *w, const uint8_t mac[JOURNAL_MAC_LEN]);

/* Sets the length and returns what the MAC has to cover; the record may not be added to. */
struct bytes journal_record_body(struct writer *w);

/*
 * The record at the start of these bytes of the file. Errors: ERR_MALFORMED (there is none, or
 * only a part of one), ERR_UNSUPPORTED (of a newer format).
 */
int journal_record_parse(struct bytes file, struct journal_record *ret_record,
                         struct err *err) MUST_CHECK;

/* The record's next save, a view into it. ERR_MALFORMED cannot follow a good parse. */
int journal_record_next(struct journal_record *record, struct journal_save *ret_save) MUST_CHECK;

/* The least offset, a multiple of the block, of a record of at least this generation. */
bool journal_record_find(struct bytes file, uint64_t generation, size_t *ret_offset);

/* --- the file (journal.c) ----------------------------------------------------------------------
 */

struct journal;

/*
 * Makes the file, all zeros, durably, at database path + JOURNAL_SUFFIX. One that is there and
 * all zeros is taken; one with records in it is ERR_DAMAGED: its database is missing.
 */
int journal_create(const char *path, struct err *err) MUST_CHECK;

/*
 * Opens the file that belongs to the database at path. Errors: ERR_DAMAGED (missing, or not of
 * the right size), ERR_IO, ERR_NOT_PERMITTED.
 */
int journal_open(const char *path, struct journal **ret_journal, struct err *err) MUST_CHECK;
void journal_close(struct journal *journal);

/* The whole file, to be replayed; free() it. */
int journal_read(const struct journal *journal, uint8_t **ret_data, struct err *err) MUST_CHECK;

/* Where the next record goes; offset is a multiple of the block. 0: begin anew. */
void journal_seek(struct journal *journal, size_t offset);

/* A writer on the journal's own memory, for one record that ends at the present end. */
struct writer *journal_writer(struct journal *journal);

/*
 * Writes the record that is in the writer and returns 0 when it is on stable storage. After a
 * failure it may be there or not; the next record takes its place.
 */
int journal_append(struct journal *journal, struct err *err) MUST_CHECK;

/* Overwrites everything that was ever written with zeros, durably. */
int journal_scrub(struct journal *journal, struct err *err) MUST_CHECK;

/* More than half of the room is used. */
bool journal_is_half_full(const struct journal *journal);

#endif
