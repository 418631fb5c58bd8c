#include "tcb/pool.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/hex.h"
#include "tcb/making.h"
#include "tpmwire/ek.h"

#define PREFIX ".pool."
#define TAKEN  "taken" /* in place of the profile */

bool pool_is_name(const char *name)
{
        return strncmp(name, PREFIX, sizeof(PREFIX) - 1) == 0;
}

bool pool_fits(const struct instance_host *host, const struct instance_request *request)
{
        return host->pool != NULL && request->base_seed == NULL && request->permanent.len == 0 &&
               !request->for_pool && (request->eks & (1U << TPM_EK_RSA2048)) != 0;
}

int pool_name(uint8_t *ret_uuid, char ret_name[STORE_NAME_MAX + 1], struct err *err)
{
        char hex[2 * BLOCK_UUID_LEN + 1];

        if (getrandom(ret_uuid, BLOCK_UUID_LEN, 0) != BLOCK_UUID_LEN)
                return err_set(err, ERR_FAILED, "getrandom");
        (void)snprintf(ret_name, STORE_NAME_MAX + 1, PREFIX "%s",
                       hex_encode(ret_uuid, BLOCK_UUID_LEN, hex));
        return 0;
}

void pool_put(struct instance_host *host, struct instance *instance)
{
        const bool taken = strcmp(instance->stored.block.profile, TAKEN) == 0;
        struct instance **list = taken ? &host->pool_taken : &host->pool;

        instance->next = *list;
        *list = instance;
        host->n_pool += !taken;
}

int pool_mark_taken(struct instance *instance, struct err *err)
{
        struct security_block *block = &instance->stored.block;

        (void)snprintf(block->profile, sizeof(block->profile), TAKEN);
        return store_update_instance(instance->host->store, STORE_STATE_INITIALISED, block, err);
}

int pool_delete_taken(struct instance_host *host, bool *ret_done, struct err *err)
{
        struct instance *instance = host->pool_taken;

        if (instance == NULL) {
                *ret_done = false;
                return 0;
        }
        if (commit_begin(host->commit, err) != 0 || making_forget_records(instance, err) != 0 ||
            store_delete_instance(host->store, instance->stored.block.uuid, err) != 0 ||
            commit_then(host->commit, NULL, NULL, 0, err) != 0)
                return err->code;
        host->pool_taken = instance->next;
        instance_free(instance);
        *ret_done = true;
        return 0;
}

struct instance *pool_take(struct instance_host *host)
{
        struct instance *instance = host->pool;

        if (instance != NULL) {
                host->pool = instance->next;
                host->n_pool--;
                instance->next = NULL;
        }
        return instance;
}

void pool_free(struct instance_host *host)
{
        while (host->pool != NULL)
                instance_free(pool_take(host));
        while (host->pool_taken != NULL) {
                struct instance *next = host->pool_taken->next;

                instance_free(host->pool_taken);
                host->pool_taken = next;
        }
}
