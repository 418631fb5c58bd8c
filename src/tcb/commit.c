#include "tcb/commit.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define WAITERS_MAX    32768   /* one of each live vTPM, and requests */
#define GROUP_MAX      256     /* waiters that make a commit due at once */
#define RETRY_USEC     200000U /* after a failed commit */
#define DEADLINE_USEC  2000    /* a busy loop is never idle: then it is committed anyway */
#define REMINDER_TRIES 50      /* failed commits between two lines of the log */

struct waiter {
        commit_fn *done;
        void *user;
        uint64_t value;
};

struct commit {
        struct store *store;
        sd_event *event;
        sd_event_source *idle;  /* runs when no other source of the loop has anything to do */
        uint64_t since;         /* when the first of the waiters came; in microseconds */
        sd_event_source *retry; /* runs after a failure */
        struct waiter waiters[WAITERS_MAX];
        size_t n_waiters;
        unsigned failures;
};

static void log_failure(struct commit *commit, const struct err *err)
{
        if (commit->failures++ % REMINDER_TRIES == 0)
                log_error((&(struct log_fields){.op = "commit", .err = err}),
                          "state cannot be stored; guests that write to their TPM wait");
}

/* Before each turn of the loop that the commit waits for: after a while it goes first. A timer
 * would say the same with two system calls a commit. */
static int on_prepare(sd_event_source *source, void *user)
{
        const struct commit *commit = user;
        const bool due =
            commit->n_waiters >= GROUP_MAX || clock_usec() - commit->since >= DEADLINE_USEC;

        return sd_event_source_set_priority(source, due ? SD_EVENT_PRIORITY_IMPORTANT
                                                        : SD_EVENT_PRIORITY_IDLE);
}

/* done() may bring new changes, which belong to the next commit, and may forget others. */
static void tell(struct commit *commit)
{
        size_t due = commit->n_waiters;

        for (size_t i = 0; i < due; i++)
                if (commit->waiters[i].done != NULL)
                        commit->waiters[i].done(commit->waiters[i].user, commit->waiters[i].value);
        commit->n_waiters -= due;
        memmove(commit->waiters, commit->waiters + due,
                commit->n_waiters * sizeof(commit->waiters[0]));
        commit->since = clock_usec();
}

static int commit_once(struct commit *commit, struct err *err)
{
        if (!store_in_transaction(commit->store))
                return 0;
        if (store_commit(commit->store, err) != 0)
                return err->code;
        if (commit->failures > 0)
                log_info(NULL, "state is stored again after %u failures", commit->failures);
        commit->failures = 0;
        return 0;
}

static int try_commit(struct commit *commit)
{
        struct err err = {0};

        (void)sd_event_source_set_enabled(commit->idle, SD_EVENT_OFF);
        if (commit_once(commit, &err) == 0) {
                tell(commit);
                if (!store_in_transaction(commit->store) && store_wants_checkpoint(commit->store) &&
                    store_checkpoint(commit->store, &err) != 0)
                        log_warning((&(struct log_fields){.op = "checkpoint", .err = &err}),
                                    "the store's log was not folded");
                return 0;
        }
        log_failure(commit, &err);
        (void)sd_event_source_set_time_relative(commit->retry, RETRY_USEC);
        (void)sd_event_source_set_enabled(commit->retry, SD_EVENT_ONESHOT);
        return 0;
}

static int on_idle(sd_event_source *source, void *user)
{
        (void)source;
        return try_commit(user);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *user)
{
        (void)source;
        (void)usec;
        return try_commit(user);
}

static int add_idle(struct commit *commit)
{
        int rc = sd_event_add_defer(commit->event, &commit->idle, on_idle, commit);

        if (rc >= 0)
                rc = sd_event_source_set_prepare(commit->idle, on_prepare);
        return rc < 0 ? rc : sd_event_source_set_enabled(commit->idle, SD_EVENT_OFF);
}

static int add_retry(struct commit *commit)
{
        int rc = sd_event_add_time_relative(commit->event, &commit->retry, CLOCK_MONOTONIC, 0, 1,
                                            on_timer, commit);

        return rc < 0 ? rc : sd_event_source_set_enabled(commit->retry, SD_EVENT_OFF);
}

int commit_new(sd_event *event, struct store *store, struct commit **ret_commit, struct err *err)
{
        struct commit *commit = calloc(1, sizeof(*commit));
        int rc;

        if (commit == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        commit->store = store;
        commit->event = event;
        rc = add_idle(commit);
        if (rc >= 0)
                rc = add_retry(commit);
        if (rc < 0) {
                commit_free(commit);
                return err_set_errno(err, -rc, "watch for commits");
        }
        *ret_commit = commit;
        return 0;
}

void commit_free(struct commit *commit)
{
        if (commit == NULL)
                return;
        sd_event_source_disable_unref(commit->idle);
        sd_event_source_disable_unref(commit->retry);
        free(commit);
}

int commit_begin(struct commit *commit, struct err *err)
{
        if (commit->n_waiters == WAITERS_MAX)
                return err_set(err, ERR_LIMIT, "too many changes wait for the disk");
        if (store_in_transaction(commit->store))
                return 0;
        return store_begin(commit->store, err);
}

int commit_then(struct commit *commit, commit_fn *done, void *user, uint64_t value, struct err *err)
{
        if (commit->n_waiters == WAITERS_MAX)
                return err_set(err, ERR_LIMIT, "too many changes wait for the disk");
        commit->waiters[commit->n_waiters++] =
            (struct waiter){.done = done, .user = user, .value = value};
        if (commit->failures > 0)
                return 0; /* the retry timer runs */
        if (commit->n_waiters == 1)
                commit->since = clock_usec();
        (void)sd_event_source_set_enabled(commit->idle, SD_EVENT_ONESHOT);
        return 0;
}

void commit_forget(struct commit *commit, const void *user)
{
        for (size_t i = 0; i < commit->n_waiters; i++)
                if (commit->waiters[i].user == user)
                        commit->waiters[i].done = NULL;
}

void commit_now(struct commit *commit)
{
        if (commit->n_waiters > 0 && commit->failures == 0)
                (void)try_commit(commit);
}

int commit_fold(struct commit *commit, struct err *err)
{
        return store_in_transaction(commit->store) ? 0 : store_checkpoint(commit->store, err);
}

int commit_flush(struct commit *commit, struct err *err)
{
        if (commit_once(commit, err) != 0)
                return err->code;
        tell(commit);
        return 0;
}
