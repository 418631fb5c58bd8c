#include "arbiter/confine.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sandbox-calls.h"

#define FILES_MAX 64

/* No core dumps, no processes of its own; what it has open stays. */
static int set_limits(struct err *err)
{
        static const struct {
                __rlimit_resource_t resource;
                rlim_t limit;
        } limits[] = {{RLIMIT_CORE, 0}, {RLIMIT_NPROC, 0}, {RLIMIT_NOFILE, FILES_MAX}};

        for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
                const struct rlimit limit = {limits[i].limit, limits[i].limit};

                if (setrlimit(limits[i].resource, &limit) < 0)
                        return err_set_errno(err, errno, "set a resource limit");
        }
        return 0;
}

/* A TPM's device is an open descriptor by now: read, write and poll are all it takes. */
static int filter_calls(const struct confine_request *request, unsigned *ret_degraded,
                        struct err *err)
{
        const struct sandbox_call calls[] = {
            /* The link, the TPM, the log. */
            SANDBOX_CALLS_STREAMS,
            SANDBOX_ALLOW(readv),
            /* The embedded TPM's state; Landlock says where. */
            SANDBOX_ALLOW(openat),
            SANDBOX_ALLOW(newfstatat),
            SANDBOX_ALLOW(fstat),
            SANDBOX_ALLOW(fsync),
            SANDBOX_ALLOW(fdatasync),
            SANDBOX_ALLOW(renameat),
            SANDBOX_ALLOW(unlinkat),
            /* The embedded TPM's end. */
            SANDBOX_ALLOW_IF(kill, 0, ~0ULL,
                             (uint64_t)(request->engine > 0 ? request->engine : getpid())),
            SANDBOX_ALLOW(waitid),
            SANDBOX_ALLOW(wait4),
            SANDBOX_CALLS_TIME,
            SANDBOX_ALLOW(clock_nanosleep),
            SANDBOX_ALLOW(nanosleep),
            SANDBOX_CALLS_MEMORY,
            SANDBOX_CALLS_SECRETS,
            SANDBOX_CALLS_END(getpid()),
            SANDBOX_ALLOW(exit),
            /* The last two: swtpm's TCTI connects anew for each command (M, tpm2-tss 3.2). */
            SANDBOX_ALLOW_IF(socket, 0, ~0ULL, AF_UNIX),
            SANDBOX_ALLOW(connect),
        };
        const struct sandbox_policy policy = {
            .calls = calls,
            .n_calls = ARRAY_SIZE(calls) - (request->connects ? 0 : 2),
            .other_errno = EPERM,
            .skip = SANDBOX_FDS | SANDBOX_LIMITS | SANDBOX_LANDLOCK};

        return sandbox_enter(&policy, ret_degraded, err);
}

int confine_arbiter(const struct confine_request *request, char *ret_words, size_t size,
                    struct err *err)
{
        const struct sandbox_place place = {.dir = request->dir};
        unsigned files;
        unsigned calls;

        if (set_limits(err) != 0 ||
            sandbox_restrict_files(&place, request->dir >= 0, &files, err) != 0 ||
            filter_calls(request, &calls, err) != 0)
                return err_wrap(err, "arbiter");
        (void)sandbox_describe(files | calls, ret_words, size);
        return 0;
}
