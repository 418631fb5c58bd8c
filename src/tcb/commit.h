/*
 * Group commit: changes of many engines and requests that arrive in one turn of the loop become
 * durable with one commit, and only then is each told. While the disk is full or failing they
 * wait; the engines' guests stall, and go on by themselves when it has recovered.
 */
#ifndef TCB_COMMIT_H
#define TCB_COMMIT_H

#include <systemd/sd-event.h>

#include "store/store.h"

struct commit;

/* Called once the change is durable. */
typedef void commit_fn(void *user, uint64_t value);

/* Group commit over a store, on this loop. */
int commit_new(sd_event *event, struct store *store, struct commit **ret_commit,
               struct err *err) MUST_CHECK;
void commit_free(struct commit *commit);

/* Opens the transaction that the caller's changes go into, if none is open. */
int commit_begin(struct commit *commit, struct err *err) MUST_CHECK;

/* The caller's changes are in; done(user, value) follows after the commit. NULL: nobody to tell. */
int commit_then(struct commit *commit, commit_fn *done, void *user, uint64_t value,
                struct err *err) MUST_CHECK;

/* Forgets everything that would be told to user, who goes away. The changes stay in. */
void commit_forget(struct commit *commit, const void *user);

/*
 * Nothing else comes for the moment: what waits is committed without another turn of the loop.
 * After a failure the retry is waited for.
 */
void commit_now(struct commit *commit);

/* Writes what is in the journal only into the database, unless changes are under way. */
int commit_fold(struct commit *commit, struct err *err) MUST_CHECK;

/* Commits now what is open; for the end of the program. */
int commit_flush(struct commit *commit, struct err *err) MUST_CHECK;

#endif
