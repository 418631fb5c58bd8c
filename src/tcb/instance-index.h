/*
 * All instances of a TCB, found by name and by UUID in the same time however many there are.
 */
#ifndef TCB_INSTANCE_INDEX_H
#define TCB_INSTANCE_INDEX_H

#include "base/table.h"
#include "tcb/instance.h"

struct instance_index {
        struct instance *first; /* list of all; the newest is first */
        struct table names;
        struct table uuids;
};

/* An empty one. */
int instance_index_init(struct instance_index *index, struct err *err) MUST_CHECK;

/* The instances stay their owner's. Also of an index of zeros. */
void instance_index_done(struct instance_index *index);

/* ERR_CONFLICT: there is one with this name or UUID. Neither changes while it is in. */
int instance_index_add(struct instance_index *index, struct instance *instance,
                       struct err *err) MUST_CHECK;

/* Takes an instance out, if it is in. */
void instance_index_remove(struct instance_index *index, struct instance *instance);

/* NULL: there is none. */
struct instance *instance_index_find_name(const struct instance_index *index, const char *name);
struct instance *instance_index_find_uuid(const struct instance_index *index,
                                          const uint8_t uuid[BLOCK_UUID_LEN]);

/* By a name or, where nobody is called so, by the text of a UUID. */
struct instance *instance_index_find(const struct instance_index *index, const char *text);

#endif
