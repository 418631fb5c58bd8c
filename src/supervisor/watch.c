#include "supervisor/watch.h"

#define WARN_MSEC   10000 /* where there is no bound; else a sixth of the bound */
#define WARN_PART   6
#define PERIOD_PART 12
#define PERIOD_MSEC 250  /* at least */
#define PERIOD_MOST 5000 /* at most */

static uint64_t period(const struct watch *watch)
{
        const uint64_t part = watch->end_msec / PERIOD_PART;

        if (watch->end_msec == 0 || part > PERIOD_MOST)
                return PERIOD_MOST;
        return part < PERIOD_MSEC ? PERIOD_MSEC : part;
}

static uint64_t first_warning(const struct watch *watch)
{
        const uint64_t warn = watch->end_msec == 0 ? WARN_MSEC : watch->end_msec / WARN_PART;

        return watch->starting ? warn * WATCH_START_TIMES : warn;
}

/* The next one gets more time: this one may have been slow, not stuck. */
static uint64_t bound(const struct watch *watch)
{
        const unsigned doubled = watch->ended < WATCH_PATIENCE ? watch->ended : WATCH_PATIENCE;

        return (watch->end_msec << doubled) * (watch->starting ? WATCH_START_TIMES : 1);
}

static void listen_anew(struct watch *watch, uint64_t now_msec)
{
        watch->seen = now_msec;
        watch->silent = 0;
        watch->counted = 0;
        watch->warned = false;
        watch->warn = first_warning(watch);
}

void watch_init(struct watch *watch, uint64_t end_msec)
{
        *watch = (struct watch){.end_msec = end_msec};
}

void watch_start(struct watch *watch, uint64_t now_msec)
{
        watch->ended += watch->over;
        watch->over = false;
        watch->starting = true;
        listen_anew(watch, now_msec);
}

uint64_t watch_answered(struct watch *watch, uint64_t now_msec)
{
        const uint64_t silent = watch->warned ? watch->silent : 0;

        watch->starting = false;
        listen_anew(watch, now_msec);
        return silent;
}

void watch_forgive(struct watch *watch)
{
        watch->ended = 0;
}

uint64_t watch_due(const struct watch *watch)
{
        return watch->seen + period(watch);
}

enum watch_word watch_turn(struct watch *watch, uint64_t now_msec, char state)
{
        uint64_t passed = now_msec - watch->seen;

        /* More was not seen to pass: we did not run either. */
        if (passed > 2 * period(watch))
                passed = 2 * period(watch);
        watch->seen = now_msec;
        if (watch->over)
                return WATCH_FINE;
        watch->silent += passed;
        if (state != WATCH_DEVICE)
                watch->counted += passed;
        if (watch->end_msec != 0 && watch->counted >= bound(watch)) {
                watch->over = true;
                return WATCH_END;
        }
        if (watch->silent < watch->warn)
                return WATCH_FINE;
        watch->warn = 2 * watch->silent;
        watch->warned = true;
        return WATCH_WARN;
}
