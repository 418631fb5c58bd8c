#include "engine/bound.h"

#include <stdlib.h>
#include <string.h>

#include "engine/core.h"
#include "engine/vtpm.h"

int bound_unlock(struct engine *engine, bool *ret_granted, struct err *err)
{
        const struct engine_claim claim = {0};
        struct engine_decided decided;
        int rc = core_ask(engine, engine_claim_code, &claim, &decided, err);

        if (rc != 0)
                return rc;
        engine->locked = decided.result != 0;
        *ret_granted = !engine->locked;
        return 0;
}

static int ask_to_save(struct engine *engine, struct bytes volatile_state,
                       uint8_t ret_token[ENGINE_TOKEN_SIZE], uint32_t *ret_result, struct err *err)
{
        const struct engine_save save = {.volatile_state = volatile_state};
        struct engine_decided decided;
        int rc = core_ask(engine, engine_save_code, &save, &decided, err);

        if (rc != 0)
                return rc;
        if (decided.result == 0 && decided.token.len != ENGINE_TOKEN_SIZE)
                return err_set(err, ERR_MALFORMED, "core channel: a save without a token");
        if (decided.result == 0)
                memcpy(ret_token, decided.token.data, ENGINE_TOKEN_SIZE);
        *ret_result = decided.result;
        return 0;
}

int bound_save(struct engine *engine, uint8_t ret_token[ENGINE_TOKEN_SIZE], uint32_t *ret_result,
               struct err *err)
{
        uint8_t *state = NULL;
        size_t len = 0;
        int rc = 0;

        if (vtpm_is_on())
                rc = vtpm_get_volatile(&state, &len, err);
        if (rc == 0)
                rc = ask_to_save(engine, (struct bytes){state, len}, ret_token, ret_result, err);
        if (rc == 0 && *ret_result == 0)
                engine->locked = true;
        if (state != NULL)
                explicit_bzero(state, len);
        free(state);
        return rc;
}

int bound_restore(struct engine *engine, struct bytes token, uint32_t *ret_result, struct err *err)
{
        const struct engine_restore restore = {.token = token};
        struct engine_decided decided;
        int rc = core_ask(engine, engine_restore_code, &restore, &decided, err);

        if (rc != 0)
                return rc;
        *ret_result = decided.result;
        if (decided.result != 0)
                return 0;
        /* Loaded it would mean "manufacture". */
        if (decided.permanent.len == 0)
                return err_set(err, ERR_MALFORMED, "core channel: a restore without a state");
        engine->locked = true;
        return vtpm_load(&(struct vtpm_setup){.permanent = decided.permanent,
                                              .volatile_state = decided.volatile_state,
                                              .volatile_kept = true,
                                              .persist = core_persist,
                                              .context = engine},
                         err);
}
