#include "tcb/adopt.h"

#include "base/log.h"
#include "tcb/bound.h"
#include "tcb/server.h"
#include "tcb/vm.h"

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
        if (user == KEPT_USER_PEER && instance->bound != NULL)
                return bound_adopt(instance->bound, left, err);
        if (user == KEPT_USER_VM && instance->vm != NULL)
                return vm_adopt(instance->vm, left, err);
        return err_set(err, ERR_NOT_FOUND, "its user is gone");
}

/* A QEMU whose engine is gone has no TPM, and its VM is off. */
static void end_qemus(struct tcb *tcb)
{
        struct keeper_left *left;

        while ((left = keeper_take_any(tcb->keeper, "qemu/")) != NULL) {
                struct spawn_child qemu = {.sibling = true, .pidfd = -1};
                struct kept_qemu kept;
                struct err err = {0};

                if (keeper_left_decode(left, kept_qemu_code, &kept, sizeof(kept), &err) == 0) {
                        log_warning(NULL, "QEMU %u has no vTPM any more: ended", kept.pid);
                        qemu.pid = (pid_t)kept.pid;
                        qemu.pidfd = TAKE_FD(left->fds[0]);
                        spawn_kill(&qemu);
                }
                keeper_drop(tcb->keeper, left->name);
                keeper_left_free(left);
        }
}

/* What is left of one instance, if anything. An engine that nobody takes ends with its channel. */
static int adopt_one(struct tcb *tcb, struct instance *instance, struct err *err)
{
        struct keeper_left AUTO_LEFT *left = NULL;
        char name[SUPERVISOR_NAME_MAX + 1];
        int rc = 0;

        keeper_name("vtpm", instance->stored.block.uuid, name);
        left = keeper_take(tcb->keeper, name);
        if (left != NULL)
                rc = adopt(instance, left, err);
        else if (instance->bound != NULL)
                rc = bound_adopt(instance->bound, NULL, err);
        if (rc == 0 || rc == ERR_UNSUPPORTED)
                return rc;
        log_warning((&(struct log_fields){.vm = instance->stored.name, .err = err}),
                    "it does not go on");
        keeper_drop(tcb->keeper, name);
        *err = (struct err){0};
        return 0;
}

int adopt_instances(struct tcb *tcb, struct err *err)
{
        int rc = 0;

        if (tcb->keeper == NULL)
                return 0;
        for (struct instance *i = tcb->instances.first; rc == 0 && i != NULL; i = i->next)
                rc = adopt_one(tcb, i, err);
        if (rc == 0)
                end_qemus(tcb);
        return rc;
}
