#include "cli/program.h"

#include <stdio.h>
#include <unistd.h>

int program_path(const char *name, char ret_path[PATH_MAX], struct err *err)
{
        static const char *const places[] = {"", "../libexec/"};
        char self[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

        while (n > 0 && self[n - 1] != '/')
                n--;
        self[n < 0 ? 0 : n] = '\0';
        for (size_t i = 0; i < ARRAY_SIZE(places); i++)
                if (snprintf(ret_path, PATH_MAX, "%s%s%s", self, places[i], name) < PATH_MAX &&
                    access(ret_path, R_OK) == 0)
                        return 0;
        return err_set(err, ERR_NOT_FOUND, "%s is not beside this program", name);
}
