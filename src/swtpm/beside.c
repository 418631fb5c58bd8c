#include "swtpm/beside.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

int beside_path(const char *name, char ret_path[PATH_MAX], struct err *err)
{
        char self[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

        if (n < 0)
                return err_set_errno(err, errno, "/proc/self/exe");
        while (n > 0 && self[n - 1] != '/')
                n--;
        self[n] = '\0';
        if (snprintf(ret_path, PATH_MAX, "%s%s", self, name) < PATH_MAX &&
            access(ret_path, X_OK) == 0)
                return 0;
        return err_set(err, ERR_NOT_FOUND, "%s is not beside this program, in %s", name, self);
}
