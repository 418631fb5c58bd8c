#include "image/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

int scratch_init(struct scratch *scratch, struct err *err)
{
        const char *base = getenv("TMPDIR");

        if (base == NULL || base[0] != '/')
                base = "/tmp";
        if (snprintf(scratch->path, PATH_MAX, "%s/catena-XXXXXX", base) >= PATH_MAX) {
                scratch->path[0] = '\0';
                return err_set(err, ERR_LIMIT, "TMPDIR is too long");
        }
        if (mkdtemp(scratch->path) == NULL) {
                (void)err_set_errno(err, errno, "%s", scratch->path);
                scratch->path[0] = '\0';
                return err->code;
        }
        return 0;
}

void scratch_done(struct scratch *scratch)
{
        struct dirent *entry;
        DIR *dir;

        if (scratch->path[0] == '\0')
                return;
        dir = opendir(scratch->path);
        while (dir != NULL && (entry = readdir(dir)) != NULL)
                (void)unlinkat(dirfd(dir), entry->d_name, 0);
        if (dir != NULL)
                (void)closedir(dir);
        (void)rmdir(scratch->path);
        scratch->path[0] = '\0';
}
