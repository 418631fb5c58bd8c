#include "tcb/vtpm-answer.h"

#include <string.h>

#include "tcb/bound.h"
#include "tcb/engine-memory.h"
#include "wire/leaf.h"

static void fill_bound(const struct bound *bound, struct tcb_vtpm *ret)
{
        const struct bound_view view = bound_look(bound);

        ret->launch = LEAF_LAUNCH_OPERATOR;
        ret->socket = wire_text(view.socket->path);
        ret->trouble = wire_text(view.trouble);
        ret->qemu = (uint32_t)view.qemu;
        ret->saved = view.saved;
}

static void fill_engine(const struct instance *instance, bool precise, struct tcb_vtpm *ret)
{
        const pid_t pid = instance->engine == NULL ? 0 : engine_host_pid(instance->engine);
        struct engine_memory memory;

        if (pid <= 0)
                return;
        memory = engine_memory_of(pid, precise);
        ret->pid = (uint32_t)pid;
        ret->rss = memory.rss;
        ret->pss = memory.pss;
}

static void fill(const struct instance *instance, bool precise, struct tcb_vtpm *ret)
{
        *ret = (struct tcb_vtpm){
            .name = wire_text(instance->stored.name),
            .state = wire_text(sm_name(&instance->sm)),
            .init_count = instance->init_count,
            .sequence = instance->stored.sequence,
            .ek_pub = {instance->ek_pub, instance->ek_pub_len},
            .last_use = instance->last_use,
            .profile = wire_text(instance->stored.block.profile),
            .later = instance->later,
            .certified = instance->certified,
        };
        memcpy(ret->uuid, instance->stored.block.uuid, sizeof(ret->uuid));
        fill_engine(instance, precise, ret);
        if (instance->bound != NULL)
                fill_bound(instance->bound, ret);
        else if (instance->vm != NULL)
                ret->launch = LEAF_LAUNCH_TCB;
}

void vtpm_answer(struct request *request, const struct instance *instance)
{
        struct tcb_vtpm vtpm;

        fill(instance, true, &vtpm);
        request_answer(request, tcb_vtpm_code, &vtpm, NULL);
}

void vtpm_send(struct request *request, const struct instance *instance, bool precise)
{
        struct tcb_vtpm vtpm;

        fill(instance, precise, &vtpm);
        request_send(request, tcb_vtpm_code, &vtpm);
}
