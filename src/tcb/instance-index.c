#include "tcb/instance-index.h"

#include <string.h>
#include <uuid/uuid.h>

int instance_index_init(struct instance_index *index, struct err *err)
{
        struct instance_index fresh = {.first = NULL};
        int rc = table_init(&fresh.names, err);

        if (rc != 0)
                return rc;
        rc = table_init(&fresh.uuids, err);
        if (rc != 0) {
                table_done(&fresh.names);
                return rc;
        }
        *index = fresh;
        return 0;
}

void instance_index_done(struct instance_index *index)
{
        table_done(&index->names);
        table_done(&index->uuids);
        index->first = NULL;
}

int instance_index_add(struct instance_index *index, struct instance *instance, struct err *err)
{
        const struct store_instance *stored = &instance->stored;
        int rc =
            table_add(&index->names, &instance->by_name, stored->name, strlen(stored->name), err);

        if (rc == 0) {
                rc = table_add(&index->uuids, &instance->by_uuid, stored->block.uuid,
                               sizeof(stored->block.uuid), err);
                if (rc != 0)
                        table_remove(&index->names, &instance->by_name);
        }
        if (rc != 0)
                return err_wrap(err, "vTPM %s", stored->name);
        instance->prev = NULL;
        instance->next = index->first;
        if (index->first != NULL)
                index->first->prev = instance;
        index->first = instance;
        return 0;
}

void instance_index_remove(struct instance_index *index, struct instance *instance)
{
        if (instance->by_name.key == NULL)
                return;
        table_remove(&index->names, &instance->by_name);
        table_remove(&index->uuids, &instance->by_uuid);
        if (instance->prev == NULL)
                index->first = instance->next;
        else
                instance->prev->next = instance->next;
        if (instance->next != NULL)
                instance->next->prev = instance->prev;
        instance->prev = instance->next = NULL;
}

struct instance *instance_index_find_name(const struct instance_index *index, const char *name)
{
        struct table_entry *entry = table_find(&index->names, name, strlen(name));

        return entry == NULL ? NULL : TABLE_OWNER(entry, struct instance, by_name);
}

struct instance *instance_index_find_uuid(const struct instance_index *index,
                                          const uint8_t uuid[BLOCK_UUID_LEN])
{
        struct table_entry *entry = table_find(&index->uuids, uuid, BLOCK_UUID_LEN);

        return entry == NULL ? NULL : TABLE_OWNER(entry, struct instance, by_uuid);
}

struct instance *instance_index_find(const struct instance_index *index, const char *text)
{
        struct instance *instance = instance_index_find_name(index, text);
        uuid_t uuid;

        if (instance == NULL && uuid_parse(text, uuid) == 0)
                instance = instance_index_find_uuid(index, uuid);
        return instance;
}
