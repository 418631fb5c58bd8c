#include "tcb/descriptors.h"

#include <stdint.h>
#include <sys/resource.h>

#define FILES_MAX (1U << 20) /* the kernel's own default limit (fs.nr_open) */

/*
 * For the database, clients, engines that manufacture, and most of all for those on their way into
 * rest or out of it, which have four for a moment: a few hundred under memory pressure.
 */
#define RESERVE_MAX 2048

void descriptors_raise(void)
{
        struct rlimit files;

        if (getrlimit(RLIMIT_NOFILE, &files) < 0)
                return;
        files.rlim_cur = files.rlim_max < FILES_MAX ? files.rlim_max : FILES_MAX;
        (void)setrlimit(RLIMIT_NOFILE, &files);
}

void descriptors_init(struct descriptors *descriptors)
{
        struct rlimit files;

        *descriptors = (struct descriptors){.limit = 0};
        if (getrlimit(RLIMIT_NOFILE, &files) == 0)
                descriptors->limit =
                    files.rlim_cur < FILES_MAX ? (size_t)files.rlim_cur : FILES_MAX;
}

static size_t usable(const struct descriptors *descriptors)
{
        const size_t limit = descriptors->limit;

        if (limit == 0)
                return SIZE_MAX;
        return limit - (limit / 4 < RESERVE_MAX ? limit / 4 : RESERVE_MAX);
}

size_t descriptors_vtpms(const struct descriptors *descriptors)
{
        return usable(descriptors) / DESCRIPTORS_VTPM;
}

int descriptors_take(struct descriptors *descriptors, size_t n, struct err *err)
{
        if (n > usable(descriptors) || descriptors->taken > usable(descriptors) - n) {
                (void)err_set(err, ERR_LIMIT, "no descriptors left to power on another vTPM");
                return err_hint(err, "raise LimitNOFILE of catena-tcb (%zu now: %zu vTPMs at most)",
                                descriptors->limit, descriptors_vtpms(descriptors));
        }
        descriptors->taken += n;
        return 0;
}

void descriptors_give(struct descriptors *descriptors, size_t n)
{
        descriptors->taken -= n;
}
