#include "tcb/complete.h"

#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "tcb/bound.h"
#include "tcb/making.h"
#include "tcb/pool.h"

#define QUIET_USEC UINT64_C(2000000) /* since the last wish of anybody's */
#define NEXT_USEC  UINT64_C(100000)  /* between two vTPMs: at most about a third of one core */

struct complete {
        struct tcb *tcb;
        sd_event_source *timer;
        struct instance *current;
        bool pool_failed; /* not tried again before the next start */
};

static void arm(struct complete *complete, uint64_t usec)
{
        (void)sd_event_source_set_time_relative(complete->timer, usec);
        (void)sd_event_source_set_enabled(complete->timer, SD_EVENT_ONESHOT);
}

void complete_postpone(struct complete *complete)
{
        if (complete != NULL)
                arm(complete, QUIET_USEC);
}

/* What an operator saved belongs to the state as it is. */
static bool is_ready(const struct instance *instance)
{
        return instance->later != 0 && sm_can_move(&instance->sm, INSTANCE_COMPLETING) &&
               (instance->bound == NULL || !bound_look(instance->bound).saved);
}

/* ret_later: somebody lacks keys who is in use just now. */
static struct instance *find_next(const struct tcb *tcb, bool *ret_later)
{
        bool later = false;

        for (struct instance *i = tcb->instances.first; i != NULL; i = i->next) {
                if (is_ready(i))
                        return i;
                later = later || i->later != 0;
        }
        *ret_later = later;
        return NULL;
}

static void give_up(struct instance *instance, const struct err *err)
{
        log_warning((&(struct log_fields){.vm = instance->stored.name, .err = err}),
                    "its other endorsement keys are not made before the next start");
        instance->later = 0;
}

static void on_done(void *user, const struct err *failure)
{
        struct complete *complete = user;
        struct instance *instance = TAKE(complete->current);

        if (failure != NULL && failure->code == ERR_INTERRUPTED) {
                complete_postpone(complete);
                return;
        }
        if (failure != NULL)
                give_up(instance, failure);
        arm(complete, NEXT_USEC);
}

/* One more for the pool ------------------------------------------------------------------------ */

static void fail_pool(struct complete *complete, const struct err *err)
{
        complete->pool_failed = true;
        log_warning((&(struct log_fields){.err = err}),
                    "no vTPMs are made in advance before the next start");
}

static void on_pooled(void *user, const struct err *failure)
{
        struct complete *complete = user;
        struct instance *instance = TAKE(complete->current);

        if (failure == NULL) {
                pool_put(instance->host, instance);
        } else {
                fail_pool(complete, failure);
                instance_free(instance);
        }
        arm(complete, NEXT_USEC);
}

static const struct instance_user pool_ops = {.started = on_pooled};

static void fill_pool(struct complete *complete)
{
        struct instance_host *host = &complete->tcb->instance_host;
        uint8_t uuid[BLOCK_UUID_LEN];
        char name[STORE_NAME_MAX + 1];
        const struct instance_request request = {
            .name = name, .uuid = uuid, .eks = (1U << TPM_EK_COUNT) - 1, .for_pool = true};
        struct err err = {0};
        bool deleted = false;

        if (pool_delete_taken(host, &deleted, &err) != 0) {
                fail_pool(complete, &err);
                return;
        }
        if (deleted) {
                arm(complete, NEXT_USEC);
                return;
        }
        if (complete->pool_failed || host->n_pool >= host->config->pool)
                return;
        if (pool_name(uuid, name, &err) == 0 &&
            instance_create(host, &request, &pool_ops, complete, &complete->current, &err) == 0)
                return;
        complete->current = NULL;
        fail_pool(complete, &err);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *user)
{
        struct complete *complete = user;
        struct err err = {0};
        struct instance *next;
        bool later = false;

        (void)source;
        (void)usec;
        if (complete->current != NULL || complete->tcb->ending)
                return 0;
        next = find_next(complete->tcb, &later);
        if (next == NULL) {
                if (later)
                        arm(complete, QUIET_USEC);
                fill_pool(complete);
                return 0;
        }
        complete->current = next;
        if (making_complete(next, on_done, complete, &err) != 0) {
                complete->current = NULL;
                give_up(next, &err);
                arm(complete, NEXT_USEC);
        }
        return 0;
}

int complete_new(struct tcb *tcb, struct complete **ret_complete, struct err *err)
{
        struct complete *complete = calloc(1, sizeof(*complete));
        int rc;

        if (complete == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        complete->tcb = tcb;
        rc = sd_event_add_time_relative(tcb->event, &complete->timer, CLOCK_MONOTONIC, QUIET_USEC,
                                        0, on_timer, complete);
        if (rc < 0) {
                free(complete);
                return err_set_errno(err, -rc, "watch the time");
        }
        *ret_complete = complete;
        return 0;
}

void complete_free(struct complete *complete)
{
        if (complete == NULL)
                return;
        sd_event_source_disable_unref(complete->timer);
        /* Instances with users are gone; what is left was to go into the pool. */
        instance_free(complete->current);
        free(complete);
}
