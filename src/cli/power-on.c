#include "cli/power-on.h"

#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "wire/control.h"

static int send_command(int control, const void *message, size_t len, const int *fd,
                        struct err *err)
{
        uint8_t answer[4];
        int rc;

        if (fd_send(control, message, len, fd, fd != NULL) != (ssize_t)len)
                return err_set(err, ERR_IO, "control channel");
        rc = fd_read_exact(control, answer, sizeof(answer), err);
        if (rc == 0 && memcmp(answer, "\0\0\0\0", 4) != 0)
                return err_set(err, ERR_FAILED, "the engine refused a control command");
        return rc;
}

int power_on(int control, int *ret_data, struct err *err)
{
        static const uint8_t set_data[] = {0, 0, 0, CONTROL_SET_DATAFD};
        static const uint8_t init[] = {0, 0, 0, CONTROL_INIT, 0, 0, 0, 0};
        int pair[2];
        int rc = fd_socketpair(SOCK_STREAM, pair, err);

        if (rc != 0)
                return rc;
        rc = send_command(control, set_data, sizeof(set_data), &pair[1], err);
        fd_close(&pair[1]);
        if (rc == 0)
                rc = send_command(control, init, sizeof(init), NULL, err);
        if (rc != 0)
                fd_close(&pair[0]);
        else
                *ret_data = pair[0];
        return rc;
}
