#include "store/overlay.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS 256U /* a power of two */

struct overlay {
        struct overlay_entry *buckets[BUCKETS];
        struct overlay_entry *changed; /* in no order */
        size_t n;
        size_t changed_len;
};

int overlay_new(struct overlay **ret_overlay, struct err *err)
{
        struct overlay *overlay = calloc(1, sizeof(*overlay));

        if (overlay == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        *ret_overlay = overlay;
        return 0;
}

/* UUIDs come from tenants; whoever makes them collide slows down only this walk of at most
 * OVERLAY_ENTRIES_MAX. */
static size_t bucket_of(const uint8_t *uuid)
{
        uint32_t h = 2166136261U; /* FNV-1a */

        for (size_t i = 0; i < BLOCK_UUID_LEN; i++)
                h = (h ^ uuid[i]) * 16777619U;
        return (h ^ h >> 16) & (BUCKETS - 1);
}

static struct overlay_entry *find(const struct overlay *overlay, const uint8_t *uuid)
{
        struct overlay_entry *entry = overlay->buckets[bucket_of(uuid)];

        while (entry != NULL && memcmp(entry->row.instance.block.uuid, uuid, BLOCK_UUID_LEN) != 0)
                entry = entry->next;
        return entry;
}

const struct overlay_entry *overlay_find(const struct overlay *overlay, const uint8_t *uuid)
{
        return find(overlay, uuid);
}

static struct overlay_entry *add(struct overlay *overlay, const struct row *row)
{
        struct overlay_entry **bucket = &overlay->buckets[bucket_of(row->instance.block.uuid)];
        struct overlay_entry *entry = calloc(1, sizeof(*entry));

        if (entry == NULL)
                return NULL;
        entry->row = entry->committed_row = *row;
        entry->next = *bucket;
        *bucket = entry;
        overlay->n++;
        return entry;
}

/* A layer's state is freed unless the other layer has the same. */
static void state_replace(struct overlay_state *state, const struct overlay_state *other,
                          struct overlay_state by)
{
        if (state->sealed != other->sealed)
                free(state->sealed);
        *state = by;
}

int overlay_put(struct overlay *overlay, const struct overlay_change *change, struct err *err)
{
        const size_t i = change->kind - 1;
        struct overlay_entry *entry = find(overlay, change->old->instance.block.uuid);

        if (entry == NULL && !overlay_has_room(overlay)) {
                free(change->sealed);
                return err_set(err, ERR_LIMIT, "too many VMs in the journal");
        }
        if (entry == NULL)
                entry = add(overlay, change->old);
        if (entry == NULL) {
                free(change->sealed);
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        }
        if (!entry->is_changed) {
                entry->is_changed = true;
                entry->changed = overlay->changed;
                overlay->changed = entry;
        }
        entry->row = *change->new;
        state_replace(&entry->state[i], &entry->committed[i],
                      (struct overlay_state){change->sealed, change->len});
        overlay->changed_len += change->len;
        return 0;
}

bool overlay_has_room(const struct overlay *overlay)
{
        return overlay->n < OVERLAY_ENTRIES_MAX;
}

size_t overlay_changed_len(const struct overlay *overlay)
{
        return overlay->changed_len;
}

bool overlay_has_changes(const struct overlay *overlay)
{
        return overlay->changed != NULL;
}

bool overlay_is_empty(const struct overlay *overlay)
{
        return overlay->n == 0;
}

static void record_entry(const struct overlay_entry *entry, struct writer *w)
{
        for (size_t i = 0; i < HEADS_KINDS; i++) {
                struct journal_save save = {
                    .kind = (uint32_t)i + 1,
                    .sequence = entry->row.head[i].sequence,
                    .sealed = {entry->state[i].sealed, entry->state[i].len},
                };

                if (entry->state[i].sealed == entry->committed[i].sealed)
                        continue;
                memcpy(save.uuid, entry->row.instance.block.uuid, BLOCK_UUID_LEN);
                journal_record_add(w, &save);
        }
}

void overlay_record(const struct overlay *overlay, struct writer *w)
{
        for (const struct overlay_entry *e = overlay->changed; e != NULL; e = e->changed)
                record_entry(e, w);
}

static int leaf_of(const struct row *row, struct hmac *key, uint8_t *ret_leaf, struct err *err)
{
        return heads_instance_leaf(key, &row->instance, row->head, ret_leaf, err);
}

int overlay_change_heads(struct overlay *overlay, struct hmac *key, struct heads *heads,
                         struct err *err)
{
        int rc = 0;

        for (struct overlay_entry *e = overlay->changed; e != NULL && rc == 0; e = e->changed) {
                if (!e->leaf_is_known)
                        rc = leaf_of(&e->committed_row, key, e->committed_leaf, err);
                if (rc == 0)
                        rc = leaf_of(&e->row, key, e->leaf, err);
                e->leaf_is_known = rc == 0;
                if (rc == 0)
                        heads_replace(heads, e->committed_leaf, e->leaf);
        }
        return rc;
}

/* --- ends of a transaction -------------------------------------------------------------------- */

static void settle(struct overlay *overlay, void (*settle_entry)(struct overlay_entry *entry))
{
        struct overlay_entry *next;

        for (struct overlay_entry *e = overlay->changed; e != NULL; e = next) {
                next = e->changed;
                settle_entry(e);
                e->is_changed = false;
                e->changed = NULL;
        }
        overlay->changed = NULL;
        overlay->changed_len = 0;
}

static void entry_commit(struct overlay_entry *entry)
{
        entry->committed_row = entry->row;
        memcpy(entry->committed_leaf, entry->leaf, sizeof(entry->leaf));
        for (size_t i = 0; i < HEADS_KINDS; i++)
                state_replace(&entry->committed[i], &entry->state[i], entry->state[i]);
}

static void entry_rollback(struct overlay_entry *entry)
{
        entry->row = entry->committed_row;
        for (size_t i = 0; i < HEADS_KINDS; i++)
                state_replace(&entry->state[i], &entry->committed[i], entry->committed[i]);
}

void overlay_commit(struct overlay *overlay)
{
        settle(overlay, entry_commit);
}

void overlay_rollback(struct overlay *overlay)
{
        settle(overlay, entry_rollback);
}

void overlay_clear(struct overlay *overlay)
{
        overlay_rollback(overlay);
        for (size_t b = 0; b < BUCKETS; b++) {
                struct overlay_entry *next;

                for (struct overlay_entry *e = overlay->buckets[b]; e != NULL; e = next) {
                        next = e->next;
                        for (size_t i = 0; i < HEADS_KINDS; i++)
                                free(e->committed[i].sealed);
                        free(e);
                }
                overlay->buckets[b] = NULL;
        }
        overlay->n = 0;
}

void overlay_free(struct overlay *overlay)
{
        if (overlay == NULL)
                return;
        overlay_clear(overlay);
        free(overlay);
}

int overlay_each(const struct overlay *overlay,
                 int (*visit)(void *context, const struct overlay_entry *entry, struct err *err),
                 void *context, struct err *err)
{
        int rc = 0;

        for (size_t b = 0; b < BUCKETS; b++)
                for (const struct overlay_entry *e = overlay->buckets[b]; e != NULL && rc == 0;
                     e = e->next)
                        rc = visit(context, e, err);
        return rc;
}
