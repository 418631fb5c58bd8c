/*
 * QEMU with one more monitor, at "qmp" in the directory that this program lies in: for tests that
 * do to a VM of the TCB's what the TCB does not. The TCB takes it for QEMU and executes it by its
 * descriptor, so it cannot be a script.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QEMU      "/usr/bin/qemu-system-x86_64"
#define WORDS_MAX 256

int main(int argc, char **argv)
{
        char monitor[PATH_MAX + 64];
        char self[PATH_MAX] = "";
        char option[] = "-qmp";
        char *words[WORDS_MAX + 3];
        char *slash;

        if (argc > WORDS_MAX || readlink("/proc/self/exe", self, sizeof(self) - 1) <= 0)
                return EXIT_FAILURE;
        slash = strrchr(self, '/');
        if (slash == NULL)
                return EXIT_FAILURE;
        *slash = '\0';
        (void)snprintf(monitor, sizeof(monitor), "unix:%s/qmp,server=on,wait=off", self);
        memcpy(words, argv, (size_t)argc * sizeof(words[0]));
        words[argc] = option;
        words[argc + 1] = monitor;
        words[argc + 2] = NULL;
        (void)execv(QEMU, words);
        return EXIT_FAILURE;
}
