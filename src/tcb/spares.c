#include "tcb/spares.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "tcb/instance.h"
#include "vmm/zygote.h"

struct spares {
        struct instance_host *host;
        sd_event_source *refill; /* a timer */
        sd_event_source *answer; /* of the zygote's: one is on its way */
        bool asked;
        struct spare coming;
        struct spare ready[SPARES_MAX]; /* the oldest first */
        uint64_t born[SPARES_MAX];      /* when each of them was forked; in microseconds */
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

static void give_up(struct spares *spares, const struct err *failure)
{
        fd_close(&spares->coming.core);
        log_warning((&(struct log_fields){.err = failure}), "no spare engine");
}

static void plan_refill(struct spares *spares, uint64_t usec)
{
        if (spares->n >= spares->host->config->spares || spares->refill == NULL)
                return;
        (void)sd_event_source_set_time_relative(spares->refill, usec);
        (void)sd_event_source_set_enabled(spares->refill, SD_EVENT_ONESHOT);
}

static void on_forked(void *user, struct spawn_child *child, const struct err *failure)
{
        struct spares *spares = user;
        struct instance_host *host = spares->host;

        spares->asked = false;
        spares->answer = sd_event_source_disable_unref(spares->answer);
        if (failure != NULL) {
                give_up(spares, failure);
                return;
        }
        spares->coming.child = *child;
        (void)snprintf(spares->coming.child.words, sizeof(spares->coming.child.words), "%s",
                       vmm_zygote_words(host->zygote));
        spares->born[spares->n] = clock_usec();
        spares->ready[spares->n++] = spares->coming;
        plan_refill(spares, SPARES_NEXT_USEC);
}

static int on_answer(sd_event_source *source, int fd, uint32_t revents, void *user)
{
        struct spares *spares = user;

        (void)source;
        (void)fd;
        (void)revents;
        vmm_zygote_settle(spares->host->zygote);
        return 0;
}

/* After everybody who has something to do. */
static int watch_answer(struct spares *spares, int fd, struct err *err)
{
        int rc =
            sd_event_add_io(spares->host->event, &spares->answer, fd, EPOLLIN, on_answer, spares);

        if (rc >= 0)
                rc = sd_event_source_set_priority(spares->answer, SD_EVENT_PRIORITY_IDLE + 1);
        return rc < 0 ? err_set_errno(err, -rc, "watch the zygote") : 0;
}

static int ask_one(struct spares *spares, struct err *err)
{
        struct instance_host *host = spares->host;
        struct spare spare = {.child = {.pidfd = -1}, .uid = uids_next(&host->uids)};
        struct vmm_zygote_request request = {.uid = spare.uid,
                                             .control = -1,
                                             .nice = (unsigned)host->config->engine_nice,
                                             .memory_max = host->config->engine_memory << 20};
        int core[2];
        int fd = -1;
        int rc = fd_socketpair(SOCK_SEQPACKET, core, err);

        if (rc != 0)
                return rc;
        request.core = core[1];
        spare.core = core[0];
        spares->coming = spare;
        rc = vmm_zygote_ask(host->zygote, &request, on_forked, spares, &fd, err);
        fd_close(&core[1]);
        spares->asked = rc == 0;
        if (rc != 0)
                fd_close(&spares->coming.core);
        return rc != 0 ? rc : watch_answer(spares, fd, err);
}

/* What fails here fails again, with its words, for whoever then forks an engine. */
static int on_refill(sd_event_source *source, uint64_t usec, void *user)
{
        struct spares *spares = user;
        struct err err = {0};

        (void)source;
        (void)usec;
        if (spares->asked || ask_one(spares, &err) == 0)
                return 0;
        if (err.code == ERR_TIMEOUT)
                plan_refill(spares, SPARES_WARMING_USEC);
        else
                log_warning((&(struct log_fields){.err = &err}), "no spare engine");
        return 0;
}

int spares_new(struct instance_host *host, struct spares **ret_spares, struct err *err)
{
        struct spares *spares = calloc(1, sizeof(*spares));
        int rc;

        if (spares == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        spares->host = host;
        rc = sd_event_add_time_relative(host->event, &spares->refill, CLOCK_MONOTONIC, 0, 1,
                                        on_refill, spares);
        if (rc >= 0)
                rc = sd_event_source_set_priority(spares->refill, SD_EVENT_PRIORITY_IDLE + 1);
        if (rc >= 0)
                rc = sd_event_source_set_enabled(spares->refill, SD_EVENT_OFF);
        if (rc < 0) {
                spares_free(spares);
                return err_set_errno(err, -rc, "plan spare engines");
        }
        plan_refill(spares, 0);
        *ret_spares = spares;
        return 0;
}

void spares_free(struct spares *spares)
{
        if (spares == NULL)
                return;
        sd_event_source_disable_unref(spares->refill);
        spares->refill = NULL;
        if (spares->asked)
                vmm_zygote_settle(spares->host->zygote);
        while (spares->n > 0)
                end_spare(&spares->ready[--spares->n]);
        free(spares);
}

/*
 * The newest one that is warm, whose memory a processor may still have near; if none is for sure,
 * the oldest.
 */
static struct spare remove_best(struct spares *spares)
{
        const uint64_t now = clock_usec();
        struct spare best;
        size_t at = spares->n - 1;

        while (at > 0 && now - spares->born[at] < SPARES_WARM_USEC)
                at--;
        best = spares->ready[at];
        spares->n--;
        memmove(&spares->ready[at], &spares->ready[at + 1], (spares->n - at) * sizeof(best));
        memmove(&spares->born[at], &spares->born[at + 1],
                (spares->n - at) * sizeof(spares->born[0]));
        return best;
}

bool spares_take(struct spares *spares, unsigned nice, struct spare *ret_spare)
{
        if (nice != spares->host->config->engine_nice)
                return false;
        /* Waiting for one that is on its way is no longer than for another one behind it. */
        if (spares->n == 0 && spares->asked)
                vmm_zygote_settle(spares->host->zygote);
        while (spares->n > 0) {
                struct spare best = remove_best(spares);

                if (is_alive(&best)) {
                        plan_refill(spares, spares->n > 0 ? SPARES_QUIET_USEC : SPARES_EMPTY_USEC);
                        *ret_spare = best;
                        return true;
                }
                end_spare(&best);
        }
        /* Nothing is planned where the last try failed. */
        if (sd_event_source_get_enabled(spares->refill, NULL) == SD_EVENT_OFF)
                plan_refill(spares, SPARES_QUIET_USEC);
        return false;
}

size_t spares_count(const struct spares *spares)
{
        return spares->n;
}
