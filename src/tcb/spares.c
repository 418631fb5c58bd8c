#include "tcb/spares.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "tcb/instance.h"
#include "vmm/zygote.h"

struct spares {
        struct instance_host *host;
        sd_event_source *refill;
        struct spare ready[SPARES_MAX]; /* the oldest first */
        size_t n;
};

static void end_spare(struct spare *spare)
{
        fd_close(&spare->core);
        spawn_kill(&spare->child);
}

/* It says nothing before it is spoken to: whatever there is to read is its end. */
static bool is_alive(const struct spare *spare)
{
        struct pollfd ends[] = {{.fd = spare->core, .events = POLLIN},
                                {.fd = spare->child.pidfd, .events = POLLIN}};

        return poll(ends, ARRAY_SIZE(ends), 0) == 0;
}

static int fork_one(struct spares *spares, struct spare *ret_spare, struct err *err)
{
        struct instance_host *host = spares->host;
        struct spare spare = {.child = {.pidfd = -1}, .uid = uids_next(&host->uids)};
        struct vmm_zygote_request request = {.uid = spare.uid,
                                             .control = -1,
                                             .nice = (unsigned)host->config->engine_nice,
                                             .memory_max = host->config->engine_memory << 20};
        int core[2];
        int rc = fd_socketpair(SOCK_SEQPACKET, core, err);

        if (rc != 0)
                return rc;
        request.core = core[1];
        rc = vmm_zygote_fork(host->zygote, &request, &spare.child, err);
        fd_close(&core[1]);
        if (rc != 0) {
                fd_close(&core[0]);
                return rc;
        }
        spare.core = core[0];
        (void)snprintf(spare.child.words, sizeof(spare.child.words), "%s",
                       vmm_zygote_words(host->zygote));
        *ret_spare = spare;
        return 0;
}

static void plan_refill(struct spares *spares)
{
        if (spares->n < spares->host->config->spares)
                (void)sd_event_source_set_enabled(spares->refill, SD_EVENT_ONESHOT);
}

/* One a turn. What fails here fails again, with its words, for whoever then forks an engine. */
static int on_refill(sd_event_source *source, void *user)
{
        struct spares *spares = user;
        struct err err = {0};

        (void)source;
        if (fork_one(spares, &spares->ready[spares->n], &err) != 0) {
                log_warning((&(struct log_fields){.err = &err}), "no spare engine");
                return 0;
        }
        spares->n++;
        plan_refill(spares);
        return 0;
}

int spares_new(struct instance_host *host, struct spares **ret_spares, struct err *err)
{
        struct spares *spares = calloc(1, sizeof(*spares));
        int rc;

        if (spares == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        spares->host = host;
        rc = sd_event_add_defer(host->event, &spares->refill, on_refill, spares);
        if (rc >= 0)
                rc = sd_event_source_set_priority(spares->refill, SD_EVENT_PRIORITY_IDLE + 1);
        if (rc >= 0)
                rc = sd_event_source_set_enabled(spares->refill, SD_EVENT_OFF);
        if (rc < 0) {
                spares_free(spares);
                return err_set_errno(err, -rc, "plan spare engines");
        }
        plan_refill(spares);
        *ret_spares = spares;
        return 0;
}

void spares_free(struct spares *spares)
{
        if (spares == NULL)
                return;
        while (spares->n > 0)
                end_spare(&spares->ready[--spares->n]);
        sd_event_source_disable_unref(spares->refill);
        free(spares);
}

/* The oldest, since the newest may not be warm yet. */
bool spares_take(struct spares *spares, unsigned nice, struct spare *ret_spare)
{
        if (nice != spares->host->config->engine_nice)
                return false;
        while (spares->n > 0) {
                struct spare oldest = spares->ready[0];

                spares->n--;
                memmove(spares->ready, spares->ready + 1, spares->n * sizeof(oldest));
                plan_refill(spares);
                if (is_alive(&oldest)) {
                        *ret_spare = oldest;
                        return true;
                }
                end_spare(&oldest);
        }
        return false;
}
