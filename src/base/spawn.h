/*
 * Starting programs: an exact map of descriptors, a clean environment, an own identity and own
 * namespaces. There is no shell and no search path. Between the fork and the exec only
 * async-signal-safe code runs; what fails there is reported with its stage and errno.
 */
#ifndef BASE_SPAWN_H
#define BASE_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/err.h"

#define SPAWN_FDS_MAX    32 /* entries of a map, the three standard ones included */
#define SPAWN_TARGET_MAX 64 /* targets are below this */
#define SPAWN_WORDS_MAX  256

/* The child sees the caller's descriptor source as number target. */
struct spawn_fd {
        int source;
        int target;
};

struct spawn_limit {
        int resource; /* RLIMIT_* */
        rlim_t value; /* soft and hard */
};

/* Namespaces of the child's own. */
enum spawn_isolate {
        SPAWN_ISOLATE_USER = 1 << 0, /* used when the caller is not root; root changes the uid */
        SPAWN_ISOLATE_PID = 1 << 1,  /* the child is its init: only SIGKILL surely ends it */
        SPAWN_ISOLATE_NET = 1 << 2,
        SPAWN_ISOLATE_MOUNT = 1 << 3,
        SPAWN_ISOLATE_IPC = 1 << 4,
};

struct spawn_child;

struct spawn_request {
        const char *path;        /* absolute */
        const int *program;      /* this open file is executed and path only names it; or NULL */
        const char *const *argv; /* NULL-terminated */
        const char *const *env;  /* NULL-terminated, the whole environment; NULL for none */
        const struct spawn_fd *fds;
        size_t n_fds;
        unsigned isolate; /* of enum spawn_isolate; what the kernel refuses is left out, loudly */
        uid_t uid;        /* when the caller is root and this is not 0: run as this user */
        gid_t gid;        /* and with this group only */
        const struct spawn_limit *limits;
        size_t n_limits;
        /*
         * A child of our parent's instead of ours: it outlives us and dies with our parent, which
         * reaps it. We still own its pidfd.
         */
        bool sibling;
        /* A process group of its own: what a terminal sends to ours is ours to pass on. */
        bool own_group;
        /*
         * Called before the program runs, with ret_child's pid and pidfd as they will be: whoever
         * must know of every child, even if we die meanwhile, is told here. An error ends the
         * start. NULL: nobody.
         */
        int (*announce)(void *user, const struct spawn_child *child, struct err *err);
        void *user;
        int patience_msec; /* for the program to be there; 0: ten seconds */
};

struct spawn_child {
        pid_t pid;
        int pidfd;                   /* readable when the child has ended */
        unsigned degraded;           /* the part of isolate (or the uid) that could not be had */
        char words[SPAWN_WORDS_MAX]; /* the same for the log, or "" */
        bool sibling;                /* not ours to reap */
};

#define SPAWN_STATUS_UNKNOWN (-1)

#define SPAWN_DEGRADED_UID (1U << 16) /* neither an own uid nor an own user namespace */

/*
 * Starts the program. Standard descriptors that the map does not name are /dev/null; every other
 * descriptor is closed. The child has default signal dispositions, an empty mask, no_new_privs and
 * dies when the calling thread does. The caller owns ret_child->pidfd and must reap the child.
 * Refused namespaces are not an error: the caller must log words when degraded is not 0.
 * Errors: ERR_USAGE (a map that makes no sense), ERR_TIMEOUT (the program is not there in time, as
 * on a disk that does not answer), ERR_NOT_FOUND and others of errno for the exec.
 */
int spawn_start(const struct spawn_request *request, struct spawn_child *ret_child,
                struct err *err) MUST_CHECK;

/*
 * Whether root may really become this user: in a container with one id only it may not, and then
 * counts as an ordinary user, with namespaces instead.
 */
bool spawn_may_become(uid_t uid);

/*
 * Waits up to timeout_ms (-1: for ever) for the end and reaps. *ret_status is as of waitpid(2).
 * ERR_TIMEOUT leaves everything as it is; otherwise the pidfd is closed. Of a sibling only its
 * parent learns the status: *ret_status is SPAWN_STATUS_UNKNOWN.
 */
int spawn_wait(struct spawn_child *child, int timeout_ms, int *ret_status,
               struct err *err) MUST_CHECK;

/* SIGKILL, reap (or see it end, where another process reaps it), close. Does nothing for a child
 * that was never started or is reaped. */
void spawn_kill(struct spawn_child *child);

/*
 * SIGKILL, and no longer a wait than this. False: it is on its way still, as one is that waits for
 * a device, and stays the caller's, for spawn_wait().
 */
bool spawn_end(struct spawn_child *child, int timeout_ms) MUST_CHECK;

/*
 * SIGKILL, and nobody waits here: its memory may take the kernel a while. Returns its pidfd, the
 * caller's, for spawn_reap() once it is readable, or -1 where another process reaps it (or nothing
 * runs).
 */
int spawn_dismiss(struct spawn_child *child);

/* Reaps the ended child that this pidfd is; waits if it has not ended. The pidfd stays open. */
void spawn_reap(int pidfd);

#endif
