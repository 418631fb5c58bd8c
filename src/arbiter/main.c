/*
 * catena-arbiter: started by catena-tcb with one descriptor, 3, the link to it. Not for people.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "arbiter/arbiter.h"
#include "base/log.h"
#include "wire/ptpm.h"

#define LINK_FD 3

int main(void)
{
        struct wire_link AUTO_LINK *link = NULL;
        struct arbiter *arbiter = NULL;
        struct err err = {0};
        int rc;

        (void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
        log_init("catena-arbiter", LOG_LEVEL_INFO);
        /* The TCTI loader and ESYS write their errors to stderr; ours say more. */
        (void)setenv("TSS2_LOG", "all+NONE", 1);
        /* After exec, which resets it: authorisation values pass through here. */
        (void)prctl(PR_SET_DUMPABLE, 0);
        rc = wire_link_new(LINK_FD, &wire_ptpm_protocol, WIRE_SERVER, &link, &err);
        if (rc == 0)
                rc = arbiter_new(link, &arbiter, &err);
        if (rc == 0)
                rc = arbiter_run(arbiter, &err);
        arbiter_free(arbiter);
        if (rc != 0)
                log_error((&(struct log_fields){.err = &err}), "ends");
        return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
