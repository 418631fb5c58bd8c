/*
 * Runs a fuzz target over the files of its corpus, so that what fuzzing found stays found.
 * Usage: fuzz-x DIRECTORY-OR-FILE...
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Targets that prepare something have it, as with libFuzzer. */
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

static unsigned replayed;

static int replay_file(const char *path)
{
        struct err err = {0};
        uint8_t AUTO_FREE *data = NULL;
        uint8_t *exact;
        size_t len;

        if (fs_read_file(path, 64U << 20, &data, &len, &err) != 0) {
                (void)fprintf(stderr, "%s\n", err.text);
                return 1;
        }
        /* A copy of the exact size: a read past the end is then seen by the sanitizer. */
        exact = malloc(len == 0 ? 1 : len);
        if (exact == NULL)
                return 1;
        memcpy(exact, data, len);
        (void)LLVMFuzzerTestOneInput(exact, len);
        free(exact);
        replayed++;
        return 0;
}

static int replay(const char *path)
{
        struct stat st;
        struct dirent *entry;
        DIR *dir;
        int failed = 0;

        if (stat(path, &st) < 0) {
                (void)fprintf(stderr, "no corpus: %s\n", path);
                return 1;
        }
        if (!S_ISDIR(st.st_mode))
                return replay_file(path);
        dir = opendir(path);
        while (dir != NULL && (entry = readdir(dir)) != NULL) {
                char file[PATH_MAX];

                if (entry->d_name[0] == '.')
                        continue;
                (void)snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
                failed |= replay_file(file);
        }
        if (dir != NULL)
                (void)closedir(dir);
        return failed;
}

int main(int argc, char **argv)
{
        int failed = 0;

        if (LLVMFuzzerInitialize != NULL)
                (void)LLVMFuzzerInitialize(&argc, &argv);
        for (int i = 1; i < argc; i++)
                failed |= replay(argv[i]);
        (void)printf("replayed %u inputs\n", replayed);
        return failed != 0 || replayed == 0;
}
