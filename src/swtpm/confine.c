#include "swtpm/confine.h"

#include <errno.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/sandbox-calls.h"
#include "swtpm/listen.h"

static int restrict_files(const struct confine_request *request, unsigned *ret_degraded,
                          struct err *err)
{
        struct sandbox_place places[2];
        int AUTO_FD pid_dir = -1;
        size_t n = 0;

        if (request->socket_dir >= 0)
                places[n++] = (struct sandbox_place){request->socket_dir, .removal_only = true};
        if (request->pidfile[0] != '\0') {
                if (listen_open_dir(request->pidfile, &pid_dir, err) != 0)
                        return err->code;
                places[n++] = (struct sandbox_place){pid_dir, .removal_only = true};
        }
        return sandbox_restrict_files(places, n, ret_degraded, err);
}

static int filter_calls(pid_t engine, unsigned *ret_degraded, struct err *err)
{
        const struct sandbox_call calls[] = {
            /* QEMU and the engine. */
            SANDBOX_CALLS_STREAMS,
            SANDBOX_ALLOW(accept4),
            SANDBOX_ALLOW(setsockopt),
            SANDBOX_ALLOW(getsockopt),
            SANDBOX_ALLOW(socketpair),
            /* The state, which is open. */
            SANDBOX_ALLOW(pread64),
            SANDBOX_ALLOW(pwrite64),
            SANDBOX_ALLOW(fdatasync),
            /* Its own end, and the engine's: Landlock says where files are removed. */
            SANDBOX_ALLOW_IF(kill, 0, ~0ULL, (uint64_t)(engine > 0 ? engine : getpid())),
            SANDBOX_ALLOW(wait4),
            SANDBOX_ALLOW(newfstatat),
            SANDBOX_ALLOW(unlink),
            SANDBOX_ALLOW(unlinkat),
            SANDBOX_CALLS_TIME,
            SANDBOX_CALLS_MEMORY,
            SANDBOX_CALLS_SECRETS,
            SANDBOX_CALLS_END(getpid()),
        };
        /* Its log and QEMU's channels stay open, and a full disk must not end it (SIGXFSZ). */
        const struct sandbox_policy policy = {.calls = calls,
                                              .n_calls = ARRAY_SIZE(calls),
                                              .other_errno = EPERM,
                                              .skip =
                                                  SANDBOX_FDS | SANDBOX_LIMITS | SANDBOX_LANDLOCK};

        return sandbox_enter(&policy, ret_degraded, err);
}

int confine_server(const struct confine_request *request, char *ret_words, size_t size,
                   struct err *err)
{
        unsigned files = 0;
        unsigned calls = 0;

        /* Landlock asks for it; sandbox_enter() would come too late. */
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return err_set_errno(err, errno, "no_new_privs");
        if (restrict_files(request, &files, err) != 0 ||
            filter_calls(request->engine, &calls, err) != 0)
                return err_wrap(err, "confine catena-swtpm");
        (void)sandbox_describe(files | calls, ret_words, size);
        return 0;
}
