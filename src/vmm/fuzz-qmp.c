/* Bytes from QEMU through the whole client: lines, JSON, and the order of messages. */
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "vmm/qmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const struct qmp_handlers handlers;
        struct qmp AUTO_QMP *qmp = NULL;
        struct qmp_message message;
        struct err err = {0};
        int pair[2];

        (void)(qmp_message_parse((struct bytes){data, size}, &message, &err) == 0);
        if (size > 32768 || fd_socketpair(SOCK_STREAM, pair, &err) != 0)
                return 0;
        if (qmp_new(pair[0], &handlers, NULL, &qmp, &err) == 0 &&
            qmp_execute(qmp, QMP_CONT, &err) == 0 && fd_write_all(pair[1], data, size, &err) == 0)
                (void)(qmp_process(qmp, &err) == 0 && qmp_process(qmp, &err) == 0);
        (void)close(pair[1]);
        return 0;
}
