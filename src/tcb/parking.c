#include "tcb/parking.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"

#define WAKES_PER_TURN 64  /* then the other sources of the loop have their turn */
#define PRESSED        512 /* asked in one tick while memory is short */
#define KEPT_MAX       512 /* parked, and their memory is given back however busy it is */
#define TICK_USEC      1000000
#define MEMINFO_MAX    16384
#define REMINDER_TRIES 60 /* wakes in vain between two lines of the log */

enum { CONTROL, DATA };

struct parked {
        struct instance *instance;
        int fds[2];
        struct engine_parked state; /* without its blob, which is in the store */
        bool late;                  /* its guest waits, and the host cannot wake it now */
        struct parked *late_next;
        unsigned tries; /* in vain */
};

struct parking {
        struct instance_host *host;
        int watch; /* epoll of all parked ones' channels: two descriptors each, one source */
        sd_event_source *source;
        sd_event_source *tick;
        struct instance *live; /* ring; who was asked last is at its end */
        size_t n_live;
        struct parked *late;  /* tried again in the next second */
        uint64_t credit;      /* of asking, in parts of one question: parking_pace() */
        size_t n_kept;        /* parked since their memory was given back */
        size_t n_kept_before; /* of them at the last tick */
};

/* ---- the ring ---- */

static void ring_remove(struct parking *parking, struct instance *instance)
{
        if (instance->live_next == NULL)
                return;
        instance->live_next->live_prev = instance->live_prev;
        instance->live_prev->live_next = instance->live_next;
        if (parking->live == instance)
                parking->live = instance->live_next == instance ? NULL : instance->live_next;
        instance->live_prev = instance->live_next = NULL;
        parking->n_live--;
}

static void ring_add(struct parking *parking, struct instance *instance)
{
        struct instance *first = parking->live;

        if (instance->live_next != NULL)
                return;
        parking->live = first == NULL ? instance : first;
        first = parking->live;
        instance->live_next = first;
        instance->live_prev = first == instance ? instance : first->live_prev;
        instance->live_prev->live_next = instance;
        first->live_prev = instance;
        parking->n_live++;
}

/* ---- watching QEMU's channels ---- */

static int watch_channels(const struct parking *parking, struct parked *parked, struct err *err)
{
        struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = parked->instance};

        for (int i = CONTROL; i <= DATA; i++)
                if (epoll_ctl(parking->watch, EPOLL_CTL_ADD, parked->fds[i], &event) < 0 &&
                    errno != EEXIST)
                        return err_set_errno(err, errno, "watch a parked vTPM");
        return 0;
}

/* The channels may live on in an engine: closing ours would not take them out. */
static void unwatch_channels(const struct parking *parking, const struct parked *parked)
{
        for (int i = CONTROL; i <= DATA; i++)
                (void)epoll_ctl(parking->watch, EPOLL_CTL_DEL, parked->fds[i], NULL);
}

static void forget_late(struct parking *parking, struct parked *parked)
{
        struct parked **at = &parking->late;

        if (!parked->late)
                return;
        while (*at != parked)
                at = &(*at)->late_next;
        *at = parked->late_next;
        parked->late = false;
}

static void release(struct instance *instance)
{
        struct parking *parking = instance->host->parking;
        struct parked *parked = TAKE(instance->parked);

        if (parked == NULL || parking == NULL)
                return;
        commit_forget(instance->host->commit, parked);
        forget_late(parking, parked);
        unwatch_channels(parking, parked);
        for (int i = CONTROL; i <= DATA; i++)
                fd_close(&parked->fds[i]);
        free(parked);
}

static void tell(struct instance *instance, uint64_t value)
{
        commit_fn *done = TAKE(instance->park_done);

        instance->park_anyway = false;
        if (done != NULL)
                done(instance->park_user, value);
}

void parking_live(struct instance *instance)
{
        if (instance->host->parking != NULL)
                ring_add(instance->host->parking, instance);
        tell(instance, 0);
}

void parking_end(struct instance *instance)
{
        if (instance->host->parking != NULL)
                ring_remove(instance->host->parking, instance);
        release(instance);
        tell(instance, 1);
}

/* ---- parking ---- */

/* The policy has just asked it, and it may still answer that it is not idle. */
static int insist(struct instance *instance, commit_fn *done, void *user)
{
        instance->park_anyway = true;
        instance->park_done = done;
        instance->park_user = user;
        return 0;
}

int parking_park(struct instance *instance, bool idle_only, commit_fn *done, void *user,
                 struct err *err)
{
        if (instance->host->parking == NULL)
                return err_set(err, ERR_UNSUPPORTED, "nothing is parked here");
        if (instance->sm.state == INSTANCE_PARKING && instance->park_done == NULL && !idle_only)
                return insist(instance, done, user);
        if (!sm_can_move(&instance->sm, INSTANCE_PARKING) || instance->park_done != NULL)
                return err_set(err, ERR_CONFLICT, "vTPM %s is %s", instance->stored.name,
                               sm_name(&instance->sm));
        if (engine_host_park(instance->engine, idle_only, err) != 0)
                return err->code;
        sm_move(&instance->sm, INSTANCE_PARKING);
        instance->park_done = done;
        instance->park_user = user;
        return 0;
}

/*
 * The engine goes on, whatever becomes of its state in the store: that is of no use, the next one
 * takes its place, and a start drops it.
 */
static void go_on(struct instance *instance)
{
        struct err err = {0};

        release(instance);
        if (instance_put_volatile(instance, (struct bytes){NULL, 0}, NULL, NULL, &err) != 0)
                log_warning((&(struct log_fields){.vm = instance->stored.name, .err = &err}),
                            "it goes on; the state that was to be parked is left in the store");
        if (engine_host_unpark(instance->engine, &err) != 0) {
                instance_fail(instance, &err);
                return;
        }
        sm_move(&instance->sm, INSTANCE_LIVE);
        tell(instance, 1);
}

/* In place of its engine: the next TCB wakes it. */
static void keep_channels(const struct parked *parked)
{
        const struct instance *instance = parked->instance;
        const struct kept_parked kept = {
            .uid = instance->uid,
            .user = (uint8_t)instance->ops->kept,
            .init_count = parked->state.init_count,
            .buffer_size = parked->state.buffer_size,
            .locality = parked->state.locality,
            .marks = parked->state.marks,
        };
        char name[SUPERVISOR_NAME_MAX + 1];

        if (instance->host->keeper == NULL)
                return;
        keeper_name("vtpm", instance->stored.block.uuid, name);
        keeper_put(instance->host->keeper, name, kept_parked_code, &kept, parked->fds);
}

static void on_sealed(void *user, uint64_t value)
{
        struct parked *parked = user;
        struct instance *instance = parked->instance;

        (void)value;
        keep_channels(parked);
        engine_host_dismiss(TAKE(instance->engine));
        ring_remove(instance->host->parking, instance);
        sm_move(&instance->sm, INSTANCE_PARKED);
        instance->host->parking->n_kept++;
        tell(instance, 0);
}

/* Takes the channels. */
static int hold(struct instance *instance, const struct engine_parked *state, int fds[2],
                struct err *err)
{
        struct parked *parked = calloc(1, sizeof(*parked));

        if (parked == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        *parked = (struct parked){.instance = instance, .state = *state};
        parked->state.volatile_state = (struct bytes){NULL, 0};
        for (int i = CONTROL; i <= DATA; i++)
                parked->fds[i] = TAKE_FD(fds[i]);
        instance->parked = parked;
        return watch_channels(instance->host->parking, parked, err);
}

static int keep(struct instance *instance, const struct engine_parked *state, int fds[2],
                struct err *err)
{
        int rc = hold(instance, state, fds, err);

        return rc != 0 ? rc
                       : instance_put_volatile(instance, state->volatile_state, on_sealed,
                                               instance->parked, err);
}

/* Whether its state is there shows when it wakes. */
int parking_adopt(struct instance *instance, const struct kept_parked *kept, int fds[2],
                  struct err *err)
{
        const struct engine_parked state = {.init_count = kept->init_count,
                                            .buffer_size = kept->buffer_size,
                                            .locality = kept->locality,
                                            .marks = kept->marks};
        int rc;

        if (instance->host->parking == NULL)
                return err_set(err, ERR_UNSUPPORTED, "nothing is parked here");
        rc = hold(instance, &state, fds, err);
        if (rc != 0) {
                release(instance);
                return rc;
        }
        instance->init_count = kept->init_count;
        sm_move(&instance->sm, INSTANCE_PARKED);
        return 0;
}

static void answer_busy(struct instance *instance)
{
        commit_fn *done = instance->park_done;
        struct err ignored = {0};

        if (!instance->park_anyway) {
                tell(instance, 1);
                return;
        }
        instance->park_anyway = false;
        instance->park_done = NULL;
        if (parking_park(instance, false, done, instance->park_user, &ignored) != 0 && done != NULL)
                done(instance->park_user, 1);
}

int parking_answer(struct instance *instance, const struct engine_parked *parked, int fds[2],
                   struct err *err)
{
        struct err failure = {0};

        if (instance->sm.state != INSTANCE_PARKING)
                return err_set(err, ERR_MALFORMED, "engine: parks unasked");
        if (parked == NULL) {
                sm_move(&instance->sm, INSTANCE_LIVE);
                answer_busy(instance);
                return 0;
        }
        if (keep(instance, parked, fds, &failure) == 0)
                return 0;
        log_warning((&(struct log_fields){.vm = instance->stored.name, .err = &failure}),
                    "it cannot be parked");
        go_on(instance);
        return 0;
}

/* ---- waking ---- */

/* A clock that nobody sets; see engine_wake. */
static uint64_t clock_now(void)
{
        struct timespec now = {0};

        (void)clock_gettime(CLOCK_BOOTTIME, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Not what the host lacks now, but what will not come back. */
static bool is_lost(int code)
{
        return code == ERR_DAMAGED || code == ERR_NOT_FOUND || code == ERR_ROLLBACK ||
               code == ERR_UNSUPPORTED || code == ERR_LIMIT;
}

static int load(struct instance *instance, enum store_kind kind, struct store_blob *ret_state,
                bool *ret_lost, struct err *err)
{
        int rc = store_get_blob(instance->host->store, instance->stored.block.uuid, kind, ret_state,
                                err);

        *ret_lost = is_lost(rc);
        if (rc != 0)
                return err_wrap(err, "load the state of vTPM %s", instance->stored.name);
        if (ret_state->len > 0)
                return 0;
        store_blob_free(ret_state);
        *ret_lost = true;
        return err_set(err, ERR_DAMAGED, "the state of parked vTPM %s is used up or empty",
                       instance->stored.name);
}

/*
 * The engine serves nobody before the state is used up durably: one that was started in vain took
 * nothing away.
 */
static int resume(struct instance *instance, struct bytes permanent, struct bytes volatile_state,
                  struct err *err)
{
        const struct parked *parked = instance->parked;
        const struct engine_wake wake = {
            .clock = clock_now(),
            .init_count = parked->state.init_count,
            .buffer_size = parked->state.buffer_size,
            .locality = parked->state.locality,
            .marks = parked->state.marks,
            .volatile_state = volatile_state,
            .permanent = permanent,
        };
        int rc = instance_resume(instance, &wake, parked->fds[CONTROL], parked->fds[DATA], err);

        if (rc == 0)
                rc = instance_use_up(instance, err);
        if (rc != 0)
                engine_host_free(TAKE(instance->engine));
        return rc;
}

static int load_and_resume(struct instance *instance, bool *ret_lost, struct err *err)
{
        struct store_blob volatile_state;
        struct store_blob permanent;
        int rc = load(instance, STORE_KIND_VOLATILE, &volatile_state, ret_lost, err);

        if (rc != 0)
                return rc;
        rc = load(instance, STORE_KIND_PERMANENT, &permanent, ret_lost, err);
        if (rc == 0) {
                rc = resume(instance, (struct bytes){permanent.data, permanent.len},
                            (struct bytes){volatile_state.data, volatile_state.len}, err);
                store_blob_free(&permanent);
        }
        store_blob_free(&volatile_state);
        return rc;
}

/* Another try may fail as well, but the state is where it was: the guest waits, as for a disk. */
static void put_off(struct instance *instance, const struct err *err)
{
        struct parking *parking = instance->host->parking;
        struct parked *parked = instance->parked;

        if (parked->tries++ % REMINDER_TRIES == 0)
                log_error((&(struct log_fields){.vm = instance->stored.name, .err = err}),
                          "it does not wake now; it is tried each second, and its guest waits");
        if (parked->late)
                return;
        unwatch_channels(parking, parked);
        parked->late = true;
        parked->late_next = parking->late;
        parking->late = parked;
}

/* In the loop, which may end others. */
static void try_late(struct parking *parking)
{
        struct err err = {0};

        while (parking->late != NULL && watch_channels(parking, parking->late, &err) == 0)
                forget_late(parking, parking->late);
}

static int wake(struct instance *instance, struct err *err)
{
        bool lost = false;
        int rc = load_and_resume(instance, &lost, err);

        if (lost) {
                log_error((&(struct log_fields){.vm = instance->stored.name, .err = err}),
                          "it does not wake");
                instance_fail(instance, err);
        }
        if (rc != 0)
                return rc;
        if (instance->parked->tries > 0)
                log_info((&(struct log_fields){.vm = instance->stored.name}),
                         "it wakes after %u tries", instance->parked->tries);
        /* It has its state and both channels; that the state is used up is not durable yet. */
        instance_keep(instance);
        release(instance);
        sm_move(&instance->sm, INSTANCE_WAKING);
        return 0;
}

int parking_wake(struct instance *instance, commit_fn *done, void *user, struct err *err)
{
        int rc;

        if (instance->sm.state != INSTANCE_PARKED)
                return err_set(err, ERR_CONFLICT, "vTPM %s is %s", instance->stored.name,
                               sm_name(&instance->sm));
        instance->park_done = done;
        instance->park_user = user;
        rc = wake(instance, err);
        /* Of one that ended done was told; of one that is still parked the caller hears now. */
        if (rc == 0 || instance->sm.state != INSTANCE_PARKED)
                return 0;
        instance->park_done = NULL;
        return rc;
}

static bool is_closed(int fd)
{
        char byte;

        return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* QEMU is gone, which an engine would have told. */
static void hang_up(struct instance *instance)
{
        const struct instance_user *ops = instance->ops;
        void *user = instance->user;

        instance_stop(instance);
        if (ops->event != NULL)
                ops->event(user, ENGINE_EVENT_CLOSED, instance->init_count);
}

static void on_byte(struct instance *instance)
{
        struct err err = {0};

        if (instance->sm.state == INSTANCE_PARKING)
                go_on(instance);
        else if (is_closed(instance->parked->fds[CONTROL]))
                hang_up(instance);
        else if (wake(instance, &err) != 0 && instance->sm.state == INSTANCE_PARKED)
                put_off(instance, &err);
}

/*
 * One at a time: what one of them sets off may end another. That their states are used up is
 * written at once: each guest waits for it.
 */
static int on_channels(sd_event_source *source, int fd, uint32_t revents, void *user)
{
        struct parking *parking = user;
        struct epoll_event event;

        (void)source;
        (void)fd;
        (void)revents;
        for (int i = 0; i < WAKES_PER_TURN && epoll_wait(parking->watch, &event, 1, 0) == 1; i++)
                on_byte(event.data.ptr);
        commit_now(parking->host->commit);
        return 0;
}

/* ---- the policy ---- */

bool parking_is_short(const char *meminfo, uint64_t below)
{
        static const char total[] = "MemTotal:";
        static const char available[] = "MemAvailable:";
        const char *t = strstr(meminfo, total);
        const char *a = strstr(meminfo, available);

        return t != NULL && a != NULL &&
               strtoull(a + sizeof(available) - 1, NULL, 10) * 100 <
                   strtoull(t + sizeof(total) - 1, NULL, 10) * below;
}

static bool is_memory_short(const struct parking *parking)
{
        const uint64_t below = parking->host->config->park_below;
        uint8_t AUTO_FREE *data = NULL;
        struct err ignored = {0};
        size_t len;

        return below != 0 &&
               fs_read_file("/proc/meminfo", MEMINFO_MAX, &data, &len, &ignored) == 0 &&
               parking_is_short((const char *)data, below);
}

size_t parking_pace(uint64_t *credit, size_t n_live, uint64_t after)
{
        size_t n;

        if (after == 0)
                return 0;
        *credit += 2 * (uint64_t)n_live;
        n = (size_t)(*credit / after);
        *credit %= after;
        return n;
}

static size_t quota(struct parking *parking)
{
        return is_memory_short(parking) ? PRESSED
                                        : parking_pace(&parking->credit, parking->n_live,
                                                       parking->host->config->park_after);
}

static void ask_next(struct parking *parking)
{
        struct instance *instance = parking->live;
        struct err ignored = {0};

        parking->live = instance->live_next;
        /* Whoever is on its way already, or busy with us, is asked in the next round. */
        if (instance->sm.state == INSTANCE_LIVE)
                (void)!parking_park(instance, true, NULL, NULL, &ignored);
}

/*
 * What was just parked is still in memory, as the journal's saves, and what its engine needed here
 * lies in holes of the heap: in a quiet second it goes to the disk and to the kernel.
 */
static void give_back(struct parking *parking)
{
        struct err err = {0};
        const bool quiet = parking->n_kept == parking->n_kept_before;

        parking->n_kept_before = parking->n_kept;
        if (parking->n_kept == 0 || (!quiet && parking->n_kept < KEPT_MAX))
                return;
        if (commit_fold(parking->host->commit, &err) != 0)
                log_warning((&(struct log_fields){.op = "checkpoint", .err = &err}),
                            "what is parked stays in memory for now");
        (void)malloc_trim(0);
        parking->n_kept = parking->n_kept_before = 0;
}

static int on_tick(sd_event_source *source, uint64_t usec, void *user)
{
        struct parking *parking = user;
        size_t n = quota(parking);

        (void)usec;
        n = n < parking->n_live ? n : parking->n_live;
        give_back(parking);
        try_late(parking);
        while (n-- > 0 && parking->live != NULL)
                ask_next(parking);
        (void)sd_event_source_set_time_relative(source, TICK_USEC);
        (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        return 0;
}

static int watch_all(struct parking *parking, struct err *err)
{
        int rc;

        parking->watch = epoll_create1(EPOLL_CLOEXEC);
        if (parking->watch < 0)
                return err_set_errno(err, errno, "watch parked vTPMs");
        rc = sd_event_add_io(parking->host->event, &parking->source, parking->watch, EPOLLIN,
                             on_channels, parking);
        if (rc >= 0)
                rc = sd_event_add_time_relative(parking->host->event, &parking->tick,
                                                CLOCK_MONOTONIC, TICK_USEC, 0, on_tick, parking);
        return rc < 0 ? err_set_errno(err, -rc, "watch parked vTPMs") : 0;
}

int parking_new(struct instance_host *host, struct parking **ret_parking, struct err *err)
{
        struct parking *parking = calloc(1, sizeof(*parking));
        int rc;

        if (parking == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        parking->host = host;
        rc = watch_all(parking, err);
        if (rc != 0) {
                parking_free(parking);
                return rc;
        }
        *ret_parking = parking;
        return 0;
}

void parking_free(struct parking *parking)
{
        if (parking == NULL)
                return;
        sd_event_source_disable_unref(parking->tick);
        sd_event_source_disable_unref(parking->source);
        fd_close(&parking->watch);
        free(parking);
}
