/*
 * A checked state machine: a table of states with the moves each allows. A move that the table
 * does not allow is a bug of ours and ends the process; ask sm_can_move() first where a peer's
 * request decides.
 */
#ifndef BASE_SM_H
#define BASE_SM_H

#include <stdbool.h>
#include <stdint.h>

#define SM_TO(state)  (UINT32_C(1) << (state))
#define SM_STATES_MAX 32

struct sm_state {
        const char *name;
        uint32_t allowed; /* SM_TO() of every state that may follow */
};

struct sm {
        const char *machine; /* for messages */
        const struct sm_state *states;
        unsigned n_states;
        unsigned state;
        /* Checked after every move; NULL if there is nothing to check. */
        bool (*invariant)(const struct sm *sm);
};

/*
 * sm_move() ends the program where the table does not allow the move or the invariant does not
 * hold after it: that is a mistake of our own code. Ask sm_can_move() where a peer decides.
 */
void sm_init(struct sm *sm, const char *machine, const struct sm_state *states, unsigned n_states,
             unsigned initial, bool (*invariant)(const struct sm *sm));
bool sm_can_move(const struct sm *sm, unsigned to);
void sm_move(struct sm *sm, unsigned to);
const char *sm_name(const struct sm *sm);

#endif
