/*
 * What the journal has and the database does not, at the start.
 */
#ifndef STORE_REPLAY_H
#define STORE_REPLAY_H

#include "store/store.h"

/*
 * Plays the journal's records into the overlay of a store whose database was just checked
 * against its heads. A record that is not whole ends the journal: its commit was never
 * acknowledged. Errors: ERR_DAMAGED (a record is not whole, but one after it is there),
 * ERR_UNSUPPORTED (of a newer format), ERR_IO.
 */
int store_replay(struct store *store, struct err *err) MUST_CHECK;

#endif
