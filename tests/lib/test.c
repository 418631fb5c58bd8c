#include "lib/test.h"

#include <ftw.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"

const char *test_fixtures(void)
{
        const char *dir = getenv("CATENA_FIXTURES");

        if (dir == NULL || dir[0] == '\0' || access(dir, R_OK) != 0)
                return NULL;
        return dir;
}

const char *test_fixture_path(const char *name)
{
        static char path[PATH_MAX];
        const char *dir = test_fixtures();

        if (dir == NULL)
                fail_msg("no fixtures: %s", name);
        (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
        return path;
}

uint8_t *test_fixture(const char *name, size_t *ret_len)
{
        struct err err = {0};
        uint8_t *data = NULL;

        assert_ok(fs_read_file(test_fixture_path(name), 16U << 20, &data, ret_len, &err), &err);
        return data;
}

static char dir_made[PATH_MAX];

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
        (void)st;
        (void)flag;
        (void)ftw;
        return remove(path);
}

static void remove_dir(void)
{
        (void)nftw(dir_made, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *test_dir(void)
{
        const char *base = getenv("TMPDIR");

        if (dir_made[0] != '\0')
                return dir_made;
        (void)snprintf(dir_made, sizeof(dir_made), "%s/catena-test-XXXXXX",
                       base == NULL ? "/tmp" : base);
        if (mkdtemp(dir_made) == NULL)
                fail_msg("cannot make %s", dir_made);
        (void)atexit(remove_dir);
        return dir_made;
}
