#include "supervisor/keep.h"

#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

struct keep {
        size_t fds_max;
        size_t n_fds;
        struct table sets;
};

int keep_new(size_t fds_max, struct keep **ret_keep, struct err *err)
{
        struct keep *keep = calloc(1, sizeof(*keep));
        int rc = keep == NULL ? err_set(err, ERR_NO_MEMORY, "out of memory")
                              : table_init(&keep->sets, err);

        if (rc != 0) {
                free(keep);
                return rc;
        }
        keep->fds_max = fds_max;
        *ret_keep = keep;
        return 0;
}

void keep_free(struct keep *keep)
{
        if (keep == NULL)
                return;
        keep_clear(keep);
        table_done(&keep->sets);
        free(keep);
}

static void kept_free(struct kept *kept)
{
        for (size_t i = 0; i < kept->n_fds; i++)
                fd_close(&kept->fds[i]);
        free(kept);
}

static struct kept *kept_of(struct table_entry *entry)
{
        return entry == NULL ? NULL : TABLE_OWNER(entry, struct kept, by_name);
}

static struct kept *find(const struct keep *keep, struct bytes name)
{
        return kept_of(table_find(&keep->sets, name.data, name.len));
}

static void take_out(struct keep *keep, struct kept *kept)
{
        table_remove(&keep->sets, &kept->by_name);
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
        struct kept *before = name.len == 0 ? NULL : find(keep, name);
        struct kept *kept;
        int rc = check(keep, before, name, record, n_fds, err);

        if (rc != 0)
                return rc;
        kept = calloc(1, sizeof(*kept) + record.len);
        if (kept == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        memcpy(kept->name, name.data, name.len);
        if (record.len > 0)
                memcpy(kept->record, record.data, record.len);
        kept->len = record.len;
        /* Only now: whatever was there may be what the name lies in. */
        if (before != NULL)
                take_out(keep, before);
        rc = table_add(&keep->sets, &kept->by_name, kept->name, strlen(kept->name), err);
        if (rc != 0) {
                kept_free(kept);
                return rc;
        }
        for (; kept->n_fds < n_fds; kept->n_fds++)
                kept->fds[kept->n_fds] = TAKE_FD(fds[kept->n_fds]);
        keep->n_fds += n_fds;
        return 0;
}

void keep_drop(struct keep *keep, struct bytes name)
{
        struct kept *kept = find(keep, name);

        if (kept != NULL)
                take_out(keep, kept);
}

void keep_clear(struct keep *keep)
{
        struct table_entry *entry = table_next(&keep->sets, NULL);

        while (entry != NULL) {
                struct kept *kept = kept_of(entry);

                entry = table_next(&keep->sets, entry);
                take_out(keep, kept);
        }
}

const struct kept *keep_next(const struct keep *keep, const struct kept *after)
{
        return kept_of(table_next(&keep->sets, after == NULL ? NULL : &after->by_name));
}

size_t keep_count(const struct keep *keep)
{
        return keep->sets.n;
}

size_t keep_count_fds(const struct keep *keep)
{
        return keep->n_fds;
}
