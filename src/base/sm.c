#include "base/sm.h"

#include <stdio.h>
#include <stdlib.h>

static void fail(const struct sm *sm, unsigned to, const char *why)
{
        /* allow fprintf: the last words before abort() */
        (void)fprintf(stderr, "bug: %s: move from %s to %u: %s\n", sm->machine, sm_name(sm), to,
                      why);
        abort();
}

static void check(const struct sm *sm, unsigned to)
{
        if (sm->invariant != NULL && !sm->invariant(sm))
                fail(sm, to, "invariant does not hold");
}

void sm_init(struct sm *sm, const char *machine, const struct sm_state *states, unsigned n_states,
             unsigned initial, bool (*invariant)(const struct sm *sm))
{
        *sm = (struct sm){.machine = machine,
                          .states = states,
                          .n_states = n_states,
                          .state = initial,
                          .invariant = invariant};
        if (n_states > SM_STATES_MAX || initial >= n_states)
                fail(sm, initial, "bad table");
        check(sm, initial);
}

bool sm_can_move(const struct sm *sm, unsigned to)
{
        return to < sm->n_states && (sm->states[sm->state].allowed & SM_TO(to)) != 0;
}

void sm_move(struct sm *sm, unsigned to)
{
        if (!sm_can_move(sm, to))
                fail(sm, to, "not allowed");
        sm->state = to;
        check(sm, to);
}

const char *sm_name(const struct sm *sm)
{
        return sm->state < sm->n_states ? sm->states[sm->state].name : "?";
}
