/*
 * Starting engines. A server that is confined starts no program: where it needs engines anew, a
 * process that it forked before does so. That one has seen no key and no state, and hears nothing
 * but two descriptors at a time.
 */
#ifndef SWTPM_STARTER_H
#define SWTPM_STARTER_H

#include "vmm/engine.h"

/* An engine as a child of this process, with a user of its own where we are root. */
int starter_run_engine(int core, int control, struct vmm_engine *ret_engine,
                       struct err *err) MUST_CHECK;

struct starter;

/* Forks it. Before a key or a state is read, and before threads. */
int starter_new(struct starter **ret_starter, struct err *err) MUST_CHECK;

/* Ends it and its engine. NULL is fine. */
void starter_free(struct starter *starter);

/*
 * One engine in the place of the one before, which ends. Both sockets stay the caller's; ret_words
 * says what its isolation lacks, or is "".
 */
int starter_start(struct starter *starter, int core, int control, char ret_words[SPAWN_WORDS_MAX],
                  struct err *err) MUST_CHECK;

#endif
