#include "supervisor/keep.h"

#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

#define BUCKETS 16384 /* 20,000 vTPMs are one or two in each */

struct keep {
        size_t fds_max;
        size_t n;
        size_t n_fds;
        struct kept *buckets[BUCKETS];
};

int keep_new(size_t fds_max, struct keep **ret_keep, struct err *err)
{
        struct keep *keep = calloc(1, sizeof(*keep));

        if (keep == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        keep->fds_max = fds_max;
        *ret_keep = keep;
        return 0;
}

void keep_free(struct keep *keep)
{
        if (keep == NULL)
                return;
        keep_clear(keep);
        free(keep);
}

static void kept_free(struct kept *kept)
{
        for (size_t i = 0; i < kept->n_fds; i++)
                fd_close(&kept->fds[i]);
        free(kept);
}

/* FNV-1a: the names are our own TCB's, nobody else chooses which of them meet. */
static size_t bucket_of(struct bytes name)
{
        uint32_t hash = 2166136261U;

        for (size_t i = 0; i < name.len; i++)
                hash = (hash ^ name.data[i]) * 16777619U;
        return hash % BUCKETS;
}

/* Where the set of this name hangs, or the end of its bucket. */
static struct kept **find(struct keep *keep, struct bytes name)
{
        struct kept **at = &keep->buckets[bucket_of(name)];

        while (*at != NULL &&
               (strlen((*at)->name) != name.len || memcmp((*at)->name, name.data, name.len) != 0))
                at = &(*at)->next;
        return at;
}

static void take_out(struct keep *keep, struct kept **at)
{
        struct kept *kept = *at;

        *at = kept->next;
        keep->n--;
        keep->n_fds -= kept->n_fds;
        kept_free(kept);
}

static int check(const struct keep *keep, const struct kept *before, struct bytes name,
                 struct bytes record, size_t n_fds, struct err *err)
{
        const size_t freed = before == NULL ? 0 : before->n_fds;

        if (name.len == 0 || name.len > SUPERVISOR_NAME_MAX ||
            memchr(name.data, '\0', name.len) != NULL)
                return err_set(err, ERR_MALFORMED, "no name to keep it under");
        if (record.len > SUPERVISOR_RECORD_MAX || n_fds == 0 || n_fds > SUPERVISOR_FDS_MAX)
                return err_set(err, ERR_MALFORMED, "nothing that can be kept");
        if (keep->n_fds - freed + n_fds > keep->fds_max)
                return err_set(err, ERR_LIMIT, "more than %zu descriptors to keep", keep->fds_max);
        return 0;
}

int keep_put(struct keep *keep, struct bytes name, struct bytes record, int *fds, size_t n_fds,
             struct err *err)
{
        struct kept *kept;
        struct kept **at;
        int rc = check(keep, name.len == 0 ? NULL : *find(keep, name), name, record, n_fds, err);

        if (rc != 0)
                return rc;
        kept = calloc(1, sizeof(*kept) + record.len);
        if (kept == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        memcpy(kept->name, name.data, name.len);
        if (record.len > 0)
                memcpy(kept->record, record.data, record.len);
        kept->len = record.len;
        kept->bucket = bucket_of(name);
        for (size_t i = 0; i < n_fds; i++)
                kept->fds[i] = TAKE_FD(fds[i]);
        kept->n_fds = n_fds;
        /* Only now: whatever was there may be what the name lies in. */
        at = find(keep, name);
        if (*at != NULL)
                take_out(keep, at);
        kept->next = keep->buckets[kept->bucket];
        keep->buckets[kept->bucket] = kept;
        keep->n++;
        keep->n_fds += n_fds;
        return 0;
}

void keep_drop(struct keep *keep, struct bytes name)
{
        struct kept **at = find(keep, name);

        if (*at != NULL)
                take_out(keep, at);
}

void keep_clear(struct keep *keep)
{
        for (size_t i = 0; i < BUCKETS; i++)
                while (keep->buckets[i] != NULL)
                        take_out(keep, &keep->buckets[i]);
}

const struct kept *keep_next(const struct keep *keep, const struct kept *after)
{
        size_t bucket = after == NULL ? 0 : after->bucket + 1;

        if (after != NULL && after->next != NULL)
                return after->next;
        while (bucket < BUCKETS && keep->buckets[bucket] == NULL)
                bucket++;
        return bucket < BUCKETS ? keep->buckets[bucket] : NULL;
}

size_t keep_count(const struct keep *keep)
{
        return keep->n;
}

size_t keep_count_fds(const struct keep *keep)
{
        return keep->n_fds;
}
