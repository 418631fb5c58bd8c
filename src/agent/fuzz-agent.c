/* Input: what a host sends; link, request decoder and answers of every kind. */
#include <sys/socket.h>
#include <unistd.h>

#include "agent/serve.h"
#include "base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads all that was decoded, as the real actor would. */
static int act(void *user, const struct request *request, struct answer *answer, struct err *err)
{
        unsigned *sum = user;

        if (request->code == agent_activate_code) {
                const struct agent_activate *activate = &request->as.activate;

                for (size_t i = 0; i < activate->credential_blob.len; i++)
                        *sum += activate->credential_blob.data[i];
                for (size_t i = 0; i < activate->encrypted_secret.len; i++)
                        *sum += activate->encrypted_secret.data[i];
                return err_set(err, ERR_NOT_TRUSTED, "fuzz");
        }
        *sum += request->as.quote.pcr_mask;
        answer->code = agent_identity_code;
        answer->stop = request->code == agent_poweroff_code;
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        unsigned sum = 0;
        struct serve_actor actor = {.act = act, .user = &sum};
        struct err err = {0};
        int pair[2];

        log_init("fuzz", LOG_LEVEL_ERROR);
        if (size > 65536 || fd_socketpair(SOCK_STREAM, pair, &err) != 0)
                return 0;
        if (fd_write_all(pair[0], data, size, &err) == 0 && shutdown(pair[0], SHUT_WR) == 0)
                (void)!serve_host(pair[1], &actor, &err);
        else
                fd_close(&pair[1]);
        fd_close(&pair[0]);
        return 0;
}
