#include "supervisor/pace.h"

int pace_after_death(struct pace *pace, uint64_t served_msec)
{
        static const int pauses[PACE_DEATHS_MAX] = {0, 0, 100, 200, 500, 1000, 2000, 5000};

        if (served_msec >= PACE_QUICK_MSEC)
                pace->deaths = 0;
        if (pace->deaths == PACE_DEATHS_MAX)
                return -1;
        return pauses[pace->deaths++];
}
