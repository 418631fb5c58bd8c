#include "tcb/adopt.h"

#include "base/log.h"
#include "tcb/server.h"

/* Of both records, whose it is. */
static int user_of(const struct keeper_left *left, enum kept_user *ret_user, struct err *err)
{
        struct kept_engine engine;
        struct kept_parked parked;
        uint8_t user = 0;
        int rc;

        if (left->message->code == kept_parked_code) {
                rc = keeper_left_decode(left, kept_parked_code, &parked, sizeof(parked), err);
                user = rc == 0 ? parked.user : 0;
        } else {
                rc = keeper_left_decode(left, kept_engine_code, &engine, sizeof(engine), err);
                user = rc == 0 ? engine.user : 0;
        }
        if (rc != 0)
                return rc;
        if (user < KEPT_USER_CLIENT || user > KEPT_USER_LAST)
                return err_set(err, ERR_UNSUPPORTED, "%s: kept for a user of kind %u", left->name,
                               user);
        *ret_user = (enum kept_user)user;
        return 0;
}

static int adopt(struct instance *instance, struct keeper_left *left, struct err *err)
{
        enum kept_user user = KEPT_USER_CLIENT;
        int rc = user_of(left, &user, err);

        if (rc != 0)
                return rc;
        if (user == KEPT_USER_CLIENT && instance->vm == NULL && instance->bound == NULL)
                return vtpm_adopt_opened(instance, left, err);
        log_warning((&(struct log_fields){.vm = instance->stored.name}),
                    "its start was cut short; it is off");
        return 0;
}

/* An engine that nobody takes ends as its channel is closed. */
int adopt_instances(struct tcb *tcb, struct err *err)
{
        char name[SUPERVISOR_NAME_MAX + 1];
        int rc = 0;

        if (tcb->keeper == NULL)
                return 0;
        for (struct instance *i = tcb->instances.first; rc == 0 && i != NULL; i = i->next) {
                struct keeper_left AUTO_LEFT *left = NULL;

                keeper_name("vtpm", i->stored.block.uuid, name);
                left = keeper_take(tcb->keeper, name);
                if (left == NULL)
                        continue;
                rc = adopt(i, left, err);
                if (rc == 0 && !i->kept)
                        keeper_drop(tcb->keeper, name);
        }
        return rc;
}
