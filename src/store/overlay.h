/*
 * The saves that are in the journal but not in the database yet, as the rows and sealed states
 * that they make: what a reader must see instead of the database's. It has two layers: what is
 * committed, and the changes of the transaction that is open.
 */
#ifndef STORE_OVERLAY_H
#define STORE_OVERLAY_H

#include "store/heads.h"
#include "store/journal.h"
#include "store/store-rows.h"

#define OVERLAY_ENTRIES_MAX 1024U /* more are folded into the database */
#define OVERLAY_CALLS_MAX   (OVERLAY_ENTRIES_MAX * (1 + HEADS_KINDS)) /* of the database for that */

struct overlay_state {
        uint8_t *sealed; /* NULL: as in the database */
        size_t len;
};

struct overlay_entry {
        struct overlay_entry *next;    /* of the same bucket */
        struct overlay_entry *changed; /* of the open transaction */
        bool is_changed;
        struct row row, committed_row;
        uint8_t leaf[HEADS_LEN], committed_leaf[HEADS_LEN]; /* of the rows; see leaf_is_known */
        bool leaf_is_known;                                 /* the committed row's is */
        struct overlay_state state[HEADS_KINDS], committed[HEADS_KINDS];
};

struct overlay;

/* An empty one; it knows nothing of the files. */
int overlay_new(struct overlay **ret_overlay, struct err *err) MUST_CHECK;
void overlay_free(struct overlay *overlay);

/* The entry of a VM, NULL if it has none. */
const struct overlay_entry *overlay_find(const struct overlay *overlay, const uint8_t *uuid);

/*
 * A save: the row as the reader saw it, the row with the save, and its sealed state, which the
 * overlay takes. ERR_NO_MEMORY, ERR_LIMIT (too many VMs).
 */
struct overlay_change {
        const struct row *old, *new;
        size_t kind;
        uint8_t *sealed;
        size_t len;
};
int overlay_put(struct overlay *overlay, const struct overlay_change *change,
                struct err *err) MUST_CHECK;

/* Room for one more VM, and bytes of sealed state that the open transaction has. */
bool overlay_has_room(const struct overlay *overlay);
size_t overlay_changed_len(const struct overlay *overlay);
bool overlay_has_changes(const struct overlay *overlay);
bool overlay_is_empty(const struct overlay *overlay);

/* Puts the open transaction's saves into a record. */
void overlay_record(const struct overlay *overlay, struct writer *w);

/* Replaces the changed rows in the heads. */
int overlay_change_heads(struct overlay *overlay, struct hmac *key, struct heads *heads,
                         struct err *err) MUST_CHECK;

/* Ends the transaction; clear also forgets what was committed, since the database has it. */
void overlay_commit(struct overlay *overlay);
void overlay_rollback(struct overlay *overlay);
void overlay_clear(struct overlay *overlay);

/* Calls visit() for every entry until one fails. */
int overlay_each(const struct overlay *overlay,
                 int (*visit)(void *context, const struct overlay_entry *entry, struct err *err),
                 void *context, struct err *err) MUST_CHECK;

#endif
