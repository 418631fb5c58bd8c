/*
 * vTPMs made in advance, with all endorsement keys: whoever asks for RSA-2048 at once need not wait
 * for its primes. They are ordinary sealed instances of the store under names that nobody else can
 * use, without a user, until one is taken: then its state is sealed again under the new UUID, and
 * the old row is marked as taken, in one commit; it is deleted in a quiet moment, which costs more.
 *
 * Only for random seeds. Keys from a seed of a key management centre belong to one UUID and one
 * epoch, and a seed is given out when its owner is known: nothing can be made from it before.
 */
#ifndef TCB_POOL_H
#define TCB_POOL_H

#include "tcb/instance.h"

#define POOL_MAX 64

/* Whether a name is one of the pool's. */
bool pool_is_name(const char *name);

/* Whether the pool has something for this request. */
bool pool_fits(const struct instance_host *host, const struct instance_request *request);

/* A new name and UUID for one more; ret_uuid has room for BLOCK_UUID_LEN bytes. */
int pool_name(uint8_t *ret_uuid, char ret_name[STORE_NAME_MAX + 1], struct err *err) MUST_CHECK;

/* Adds one that is made or was loaded; it is the pool's. One marked as taken is never given out. */
void pool_put(struct instance_host *host, struct instance *instance);

/* One for a new vTPM, or NULL. Mark it in the transaction that uses its state, then pool_put(). */
struct instance *pool_take(struct instance_host *host);
int pool_mark_taken(struct instance *instance, struct err *err) MUST_CHECK;

/* Deletes one that was taken; *ret_done is false if there was none. */
int pool_delete_taken(struct instance_host *host, bool *ret_done, struct err *err) MUST_CHECK;

/* Forgets all in memory; the store keeps them. */
void pool_free(struct instance_host *host);

#endif
