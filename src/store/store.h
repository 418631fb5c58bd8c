/*
 * The TCB's store: one SQLite database with everything that must outlive the process, and beside
 * it the journal of what guests' TPMs saved last (journal.h). Opaque
 * named records (the sealed storage key, pTPM key blobs), VM instances with their security
 * blocks, VM configurations, and sealed state.
 *
 * What it keeps apart, once store_unlock() has been given the storage key:
 *  - Every piece of state is sealed (sealed.h) under a key of its own with {format, uuid, epoch,
 *    sequence, digest of the configuration, kind} as associated data, all taken from the
 *    *instance's* row: state of another VM, kind, sequence or configuration does not open.
 *  - Every row is a leaf of the heads record: a MAC over the generation and a keyed multiset hash
 *    (XOR of HMACs, MSet-XOR-Hash of Clarke et al. 2003) of all records and instances. A row that
 *    is altered, removed or copied back from an older database makes store_unlock() fail with
 *    ERR_ROLLBACK.
 *  - Not detected here: the *whole* database (with its write-ahead log and its journal) replaced
 *    by an older one, a removed write-ahead log, or a journal that is cut off behind one of its
 *    records. That takes anchors outside of the disk.
 *
 * Durability: changes are collected between store_begin() and store_commit() and may be
 * acknowledged to anybody only after store_commit() returned 0: nothing but saves is one durable
 * write to the journal, everything else a commit of SQLite (WAL, synchronous=FULL), which takes
 * what is in the journal with it. When it fails (disk full, I/O error) the changes are kept in
 * memory: call it again later, or store_rollback(). A crash leaves the state before or after a
 * commit.
 *
 * One thread, one process: the database is locked exclusively while it is open. Nothing is ever
 * reset: an unreadable, foreign or too new database is ERR_DAMAGED with words for a person.
 *
 * Erasure: store_delete_instance() forgets the wrapped keys of all its state; the commit and the
 * next store_checkpoint() overwrite them in the database, the log and the journal. Copies that the
 * file system or the disk made by themselves stay sealed under the storage key.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/reader.h"
#include "base/secret.h"
#include "store/block.h"

#define STORE_NAME_MAX        63 /* characters of a VM's or a record's name */
#define STORE_RECORD_MAX      (64U << 10)
#define STORE_CONFIG_MAX      (64U << 10)
#define STORE_BLOB_MAX        (4U << 20)
#define STORE_KEY_LEN         32
#define STORE_CHANGES_MAX     65536U       /* in one transaction; a save is two */
#define STORE_CHANGES_LEN_MAX (512U << 20) /* bytes in one transaction */

enum store_kind {
        STORE_KIND_PERMANENT = 1, /* libtpms' permanent blob */
        STORE_KIND_VOLATILE = 2,
        STORE_KIND_SAVESTATE = 3,
        STORE_KIND_UEFI_VARS = 4,
        STORE_KIND_COUNT, /* one more than the largest; part of the format */
};

enum store_state {
        STORE_STATE_CREATED = 1,     /* known, no state yet */
        STORE_STATE_INITIALISED = 2, /* manufactured: never again */
        STORE_STATE_COUNT,
};

struct store_instance {
        char name[STORE_NAME_MAX + 1]; /* [a-z0-9._-], unique */
        enum store_state state;
        uint64_t sequence; /* of the latest save of any kind; 0 before the first */
        struct security_block block;
};

struct store_blob {
        uint8_t *data; /* plaintext; wiped by store_blob_free() */
        size_t len;
        uint64_t sequence;
};

struct store;

/*
 * Opens the database at path, or makes one (mode 0600, in an existing directory). Its integrity
 * is checked. Errors: ERR_DAMAGED, ERR_CONFLICT (another process has it), ERR_IO,
 * ERR_NOT_PERMITTED.
 */
int store_open(const char *path, struct store **ret_store, struct err *err) MUST_CHECK;

/* Rolls back what is not committed. NULL is allowed. */
void store_close(struct store *store);
DEFINE_CLEANUP(struct store *, store_close)
#define AUTO_STORE CLEANUP(store_close_p)

/*
 * Gives the storage key (STORE_KEY_LEN bytes, copied) and checks every row against the heads
 * record. Before it only records can be read, and they are not yet authentic: use them for
 * nothing but getting at the storage key. Errors: ERR_ROLLBACK (a row is not the one that was
 * committed last, or another key), ERR_DAMAGED.
 */
int store_unlock(struct store *store, const struct secret *key, struct err *err) MUST_CHECK;

/* Number of commits since the database was made. */
uint64_t store_generation(const struct store *store);

/* --- transactions: every change needs one ------------------------------------------------- */

/* Opens a transaction; store_commit() or store_rollback() ends it. */
int store_begin(struct store *store, struct err *err) MUST_CHECK;

/* Returns 0 when everything since store_begin() is on stable storage; else retry, or give up. */
int store_commit(struct store *store, struct err *err) MUST_CHECK;
void store_rollback(struct store *store);
bool store_in_transaction(const struct store *store);

/*
 * Puts the journal into the database and the write-ahead log into its file; for idle moments,
 * outside of requests. After a deletion it also overwrites both logs. Costs three syncs and the
 * pages that changed.
 */
int store_checkpoint(struct store *store, struct err *err) MUST_CHECK;

/* True when a checkpoint is worth its cost: a log is long, or something was deleted. */
bool store_wants_checkpoint(const struct store *store);

/* --- records: opaque bytes by name -------------------------------------------------------- */

int store_put_record(struct store *store, const char *name, struct bytes value,
                     struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND if there is none. free() *ret_data. */
int store_get_record(struct store *store, const char *name, uint8_t **ret_data, size_t *ret_len,
                     struct err *err) MUST_CHECK;
int store_delete_record(struct store *store, const char *name, struct err *err) MUST_CHECK;

/* --- instances ------------------------------------------------------------------------------ */

/* Whether it can name an instance; the state's name in words. */
bool store_name_is_valid(const char *name);
const char *store_state_name(enum store_state state);

/*
 * A new instance in state CREATED. The block gives uuid, epoch and what else is known; its
 * configuration digest is set by the store: that of an empty configuration.
 * Errors: ERR_CONFLICT (uuid or name exists), ERR_USAGE (bad name), ERR_LIMIT.
 */
int store_create_instance(struct store *store, const char *name, const struct security_block *block,
                          struct err *err) MUST_CHECK;

/* An instance by uuid or by name. Errors: ERR_NOT_FOUND, ERR_DAMAGED. */
int store_get_instance(struct store *store, const uint8_t uuid[BLOCK_UUID_LEN],
                       struct store_instance *ret_instance, struct err *err) MUST_CHECK;
int store_find_instance(struct store *store, const char *name, struct store_instance *ret_instance,
                        struct err *err) MUST_CHECK;

/* The instance whose name follows after ("" for the first); ERR_NOT_FOUND behind the last. */
int store_next_instance(struct store *store, const char *after, struct store_instance *ret_instance,
                        struct err *err) MUST_CHECK;

/*
 * Replaces state and block (engine, EK names, ...). uuid names the instance; the epoch must be
 * the present one and the configuration digest is kept: both are bound into sealed state.
 */
int store_update_instance(struct store *store, enum store_state state,
                          const struct security_block *block, struct err *err) MUST_CHECK;

/* Forgets an instance, its configuration and all its state. */
int store_delete_instance(struct store *store, const uint8_t uuid[BLOCK_UUID_LEN],
                          struct err *err) MUST_CHECK;

/* --- configurations --------------------------------------------------------------------------- */

/*
 * Sets the VM's configuration (encoded by the caller, 1 to STORE_CONFIG_MAX bytes) and its
 * digest in the security block, and seals the VM's state again under the new digest.
 */
int store_put_config(struct store *store, const uint8_t uuid[BLOCK_UUID_LEN], struct bytes config,
                     struct err *err) MUST_CHECK;

/* ERR_NOT_FOUND if none was set; ERR_DAMAGED if it is not what the block names. free() it. */
int store_get_config(struct store *store, const uint8_t uuid[BLOCK_UUID_LEN], uint8_t **ret_data,
                     size_t *ret_len, struct err *err) MUST_CHECK;

/* --- sealed state ------------------------------------------------------------------------------
 */

struct store_put {
        uint8_t uuid[BLOCK_UUID_LEN];
        enum store_kind kind;
        struct bytes plain; /* at most STORE_BLOB_MAX bytes; may be empty */
};

/* Seals and collects a save; it replaces the earlier one of this kind. */
int store_put_blob(struct store *store, const struct store_put *put, struct err *err) MUST_CHECK;

/*
 * The latest save. Errors: ERR_NOT_FOUND (never saved), ERR_ROLLBACK (the row is of another
 * sequence than the instance's), ERR_DAMAGED (missing, not sealed, or does not open).
 */
int store_get_blob(struct store *store, const uint8_t uuid[BLOCK_UUID_LEN], enum store_kind kind,
                   struct store_blob *ret_blob, struct err *err) MUST_CHECK;
void store_blob_free(struct store_blob *blob);

#endif
