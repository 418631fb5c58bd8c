#include "tcb/uids.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/resource.h>

#include "base/log.h"

static bool is_free(uid_t uid)
{
        errno = 0;
        return getpriority(PRIO_USER, uid) == -1 && errno != 0;
}

static uid_t step(struct uids *uids)
{
        uids->last = (uids->last + 1) % UIDS_MAX;
        return uids->base + 1 + uids->last;
}

uid_t uids_next(struct uids *uids)
{
        for (uint32_t i = 0; i < UIDS_MAX; i++) {
                const uid_t uid = step(uids);

                if (is_free(uid))
                        return uid;
        }
        log_warning(NULL, "all %d user ids are in use: two processes share one", UIDS_MAX);
        return step(uids);
}

void uids_note(struct uids *uids, uid_t uid)
{
        const uid_t n = uid - uids->base - 1;

        if (uid > uids->base && n < UIDS_MAX && n > uids->last)
                uids->last = n;
}
