#include "supervisor/process.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

char process_state(pid_t pid)
{
        char path[64];
        char text[256];
        const char *name_end;
        int AUTO_FD fd = -1;
        ssize_t n;

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        if (n <= 0)
                return '?';
        text[n] = '\0';
        /* "PID (NAME) STATE ...", and the name may have anything in it. */
        name_end = strrchr(text, ')');
        if (name_end == NULL || strlen(name_end) < 3)
                return '?';
        return name_end[2];
}

const char *process_state_words(char state)
{
        static const struct {
                char state;
                const char *words;
        } rows[] = {
            {'D', "it waits for a device, such as a disk that does not answer"},
            {'R', "it runs without an end, or the processors have no time for it"},
            {'S', "it waits for something that does not come"},
            {'T', "somebody stopped it"},
            {'t', "somebody debugs it"},
            {'Z', "it has ended"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].state == state)
                        return rows[i].words;
        return "the kernel does not say what it does";
}
