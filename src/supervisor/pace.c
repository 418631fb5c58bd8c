#include "supervisor/pace.h"

#include "base/macro.h"

#define BAD_DEATHS 5

uint64_t pace_after_death(struct pace *pace, uint64_t served_msec)
{
        static const uint64_t pauses[] = {0, 0, 100, 200, 500, 1000, 2000, 5000, PACE_LONGEST};
        uint64_t pause;

        if (served_msec >= PACE_GOOD_MSEC)
                pace->deaths = 0;
        pause = pauses[pace->deaths];
        if (pace->deaths + 1 < ARRAY_SIZE(pauses))
                pace->deaths++;
        return served_msec >= PACE_QUICK_MSEC && served_msec < pause ? served_msec : pause;
}

bool pace_is_bad(const struct pace *pace)
{
        return pace->deaths >= BAD_DEATHS;
}
