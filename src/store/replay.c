#include "store/replay.h"

#include <stdlib.h>
#include <string.h>

#include "store/overlay.h"
#include "store/store-rows.h"

/* One save of a record, as store_put_blob() had made it. */
static int replay_save(struct store *store, const struct journal_save *save, struct err *err)
{
        struct overlay_change change = {.kind = save->kind, .len = save->sealed.len};
        struct row old, new;
        int rc;

        if (save->kind == 0 || save->kind > HEADS_KINDS || save->sealed.len < SEALED_OVERHEAD)
                return err_set(err, ERR_MALFORMED, "save of unknown kind");
        rc = row_get(store, save->uuid, &old, err);
        if (rc != 0)
                return rc;
        new = old;
        new.head[save->kind - 1].sequence = save->sequence;
        if (new.instance.sequence < save->sequence)
                new.instance.sequence = save->sequence;
        memcpy(new.head[save->kind - 1].tag, save->sealed.data + save->sealed.len - SEALED_TAG_LEN,
               HEADS_TAG_LEN);
        change.old = &old;
        change.new = &new;
        change.sealed = malloc(save->sealed.len);
        if (change.sealed == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        memcpy(change.sealed, save->sealed.data, save->sealed.len);
        return overlay_put(store->overlay, &change, err);
}

/* ERR_MALFORMED or ERR_NOT_FOUND: this was not written whole, or not by us. */
static int replay_record(struct store *store, struct journal_record *record, struct err *err)
{
        struct heads heads = store->committed;
        uint8_t mac[HEADS_LEN];
        struct journal_save save;
        int rc = 0;

        for (uint32_t i = 0; i < record->count && rc == 0; i++) {
                rc = journal_record_next(record, &save);
                if (rc == 0)
                        rc = replay_save(store, &save, err);
        }
        if (rc == 0)
                rc = overlay_change_heads(store->overlay, store->heads_mac, &heads, err);
        if (rc == 0)
                rc = heads_mac_saves(&heads, store->heads_mac, record->body, mac, err);
        if (rc == 0 && !secret_equal(mac, record->mac, sizeof(mac)))
                rc = err_set(err, ERR_MALFORMED, "a record's MAC does not fit");
        if (rc != 0) {
                overlay_rollback(store->overlay);
                return rc;
        }
        overlay_commit(store->overlay);
        store->committed = store->working = heads;
        store->generation = record->generation;
        return 0;
}

/* Plays the record at the start of these bytes; *ret_len is 0 when the journal ends there. */
static int replay_next(struct store *store, struct bytes file, size_t *ret_len, struct err *err)
{
        struct journal_record record;
        int rc = journal_record_parse(file, &record, err);

        *ret_len = 0;
        if (rc == 0 && record.generation != store->generation + 1)
                return 0; /* one that the database has already; or later ones, see below */
        if (rc == 0)
                rc = replay_record(store, &record, err);
        if (rc == 0)
                *ret_len = record.blocks * JOURNAL_BLOCK;
        return rc == ERR_MALFORMED || rc == ERR_NOT_FOUND ? 0 : rc;
}

/* Nothing is written behind a record that is not durable, so nothing newer may follow. */
static int check_end(const struct store *store, struct bytes rest, struct err *err)
{
        size_t offset;

        if (!journal_record_find(rest, store->generation + 2, &offset))
                return 0;
        (void)err_set(err, ERR_DAMAGED,
                      "journal of saves: commit %llu is damaged, but later ones are there",
                      (unsigned long long)(store->generation + 1));
        return err_hint(err, "the disk lost a block, or the file was altered: restore the whole "
                             "directory from a copy");
}

static int replay_all(struct store *store, struct bytes file, struct err *err)
{
        size_t at = 0;
        size_t len = 1;
        int rc = 0;

        while (rc == 0 && len > 0 && at < file.len) {
                rc = replay_next(store, (struct bytes){file.data + at, file.len - at}, &len, err);
                at += len;
        }
        if (rc == 0)
                rc = check_end(store, (struct bytes){file.data + at, file.len - at}, err);
        if (rc == 0)
                journal_seek(store->journal, at);
        return rc;
}

int store_replay(struct store *store, struct err *err)
{
        uint8_t AUTO_FREE *data = NULL;
        int rc = journal_read(store->journal, &data, err);

        return rc != 0 ? rc : replay_all(store, (struct bytes){data, JOURNAL_LEN}, err);
}
