/*
 * The state that belongs to a VM which an operator's QEMU saved: the vTPM's volatile state, sealed
 * in the store and bound to the token that QEMU's stream carries in its place. There is at most
 * one, it is used once, and it is gone as soon as the vTPM goes on anywhere (PROTOCOLS, QEMU and
 * state): bringing an old state back would be a rollback.
 */
#ifndef TCB_SNAPSHOT_H
#define TCB_SNAPSHOT_H

#include <stdbool.h>

#include "store/store.h"
#include "wire/engine.h"

#define SNAPSHOT_DIGEST_SIZE 32

/* What the store has, without the state itself. The token is kept as its digest only. */
struct snapshot {
        bool exists;
        uint8_t digest[SNAPSHOT_DIGEST_SIZE];
        uint64_t saved; /* seconds since 1970 */
};

/* ret_snapshot->exists is false where there is none. */
int snapshot_load(struct store *store, const uint8_t uuid[BLOCK_UUID_LEN],
                  struct snapshot *ret_snapshot, struct err *err) MUST_CHECK;

/* Draws a token and puts the state under it, in place of an earlier one. Needs a transaction. */
int snapshot_put(struct store *store, const uint8_t uuid[BLOCK_UUID_LEN],
                 struct bytes volatile_state, uint8_t ret_token[ENGINE_TOKEN_SIZE],
                 struct snapshot *ret_snapshot, struct err *err) MUST_CHECK;

/* The token is spent. Needs a transaction. */
int snapshot_drop(struct store *store, const uint8_t uuid[BLOCK_UUID_LEN],
                  struct err *err) MUST_CHECK;

/* The volatile state, empty if the TPM was off; store_blob_free(). */
int snapshot_get(struct store *store, const uint8_t uuid[BLOCK_UUID_LEN],
                 struct store_blob *ret_volatile, struct err *err) MUST_CHECK;

/* ERR_MALFORMED for what is no token of ours, ERR_ROLLBACK for one that is spent: in words. */
int snapshot_check_token(const struct snapshot *snapshot, struct bytes token,
                         struct err *err) MUST_CHECK;

#endif
