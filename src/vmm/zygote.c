#include "vmm/zygote.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"
#include "base/log.h"
#include "wire/link.h"
#include "wire/zygote.h"

#define CHANNEL_FD 3

/*
 * glibc's lists of small blocks for each thread would keep them from being joined and given back;
 * engines have one thread and thousands of them are alive.
 */
#define ZYGOTE_MALLOC "GLIBC_TUNABLES=glibc.malloc.tcache_count=0"

#define PROC_MAX 8192
#define DIED     1 /* ask(): the zygote is gone, nothing was forked */

struct vmm_zygote {
        char path[4096];
        struct spawn_child child; /* pid 0: none */
        struct wire_link *link;
        uint32_t id;
        uint64_t born; /* in milliseconds */
        bool warm;
        bool siblings;
        int procs;            /* -1: none */
        vmm_zygote_fn *asked; /* of vmm_zygote_ask(); NULL: it was told, or nobody asked */
        void *asked_user;
};

static uint64_t now_msec(void)
{
        struct timespec now = {0};

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000U + (uint64_t)now.tv_nsec / 1000000U;
}

int vmm_zygote_new(const char *path, struct vmm_zygote **ret_zygote, struct err *err)
{
        struct vmm_zygote *zygote = calloc(1, sizeof(*zygote));

        if (zygote == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        if (strlen(path) >= sizeof(zygote->path)) {
                free(zygote);
                return err_set(err, ERR_USAGE, "path too long");
        }
        memcpy(zygote->path, path, strlen(path) + 1);
        zygote->child.pidfd = -1;
        zygote->procs = -1;
        *ret_zygote = zygote;
        return 0;
}

void vmm_zygote_set_siblings(struct vmm_zygote *zygote)
{
        zygote->siblings = true;
}

static void tell(struct vmm_zygote *zygote, struct spawn_child *child, const struct err *failure)
{
        vmm_zygote_fn *asked = TAKE(zygote->asked);

        if (asked != NULL)
                asked(zygote->asked_user, child, failure);
}

static void stop(struct vmm_zygote *zygote)
{
        struct err err = {0};

        (void)err_set(&err, ERR_UNREACHABLE, "zygote: it ended");
        tell(zygote, NULL, &err);
        wire_link_free(TAKE(zygote->link));
        spawn_kill(&zygote->child);
}

void vmm_zygote_free(struct vmm_zygote *zygote)
{
        if (zygote == NULL)
                return;
        stop(zygote);
        free(zygote);
}

/* Before its first fork, so that every engine is born there. */
static void join_cgroup(const struct vmm_zygote *zygote)
{
        char text[32];
        const int n = snprintf(text, sizeof(text), "%d", (int)zygote->child.pid);

        if (zygote->procs >= 0 && write(zygote->procs, text, (size_t)n) != n)
                log_warning((&(struct log_fields){.op = "cgroup"}),
                            "engines stay outside of their control group");
}

void vmm_zygote_set_cgroup(struct vmm_zygote *zygote, int procs)
{
        zygote->procs = procs;
}

/*
 * It keeps our user: as root it gives each engine an own one. Its namespaces for network, IPC and
 * mounts are shared by all engines, which can do nothing with either; a PID namespace would die
 * with it.
 */
static int start(struct vmm_zygote *zygote, struct err *err)
{
        static const char *const argv[] = {"catena-vtpm", "--zygote", NULL};
        static const char *const env[] = {ZYGOTE_MALLOC, NULL};
        struct spawn_fd fds[] = {{2, 2}, {-1, CHANNEL_FD}};
        const struct spawn_request request = {
            .path = zygote->path,
            .argv = argv,
            .env = env,
            .fds = fds,
            .n_fds = ARRAY_SIZE(fds),
            .isolate =
                SPAWN_ISOLATE_USER | SPAWN_ISOLATE_NET | SPAWN_ISOLATE_MOUNT | SPAWN_ISOLATE_IPC,
            .sibling = zygote->siblings,
        };
        int pair[2];
        int rc = fd_socketpair(SOCK_SEQPACKET, pair, err);

        if (rc != 0)
                return rc;
        fds[1].source = pair[1];
        rc = spawn_start(&request, &zygote->child, err);
        fd_close(&pair[1]);
        if (rc != 0) {
                fd_close(&pair[0]);
                return err_wrap(err, "start %s", zygote->path);
        }
        join_cgroup(zygote);
        zygote->born = now_msec();
        zygote->warm = false;
        return wire_link_new(pair[0], &wire_zygote_protocol, WIRE_CLIENT, &zygote->link, err);
}

int vmm_zygote_warm(struct vmm_zygote *zygote, struct err *err)
{
        return zygote->link != NULL ? 0 : start(zygote, err);
}

/* What a line of a file of /proc says, as a number; -1: nothing. */
static long read_number(const char *path, const char *label)
{
        uint8_t AUTO_FREE *text = NULL;
        struct err ignored = {0};
        const char *line;
        size_t len;

        if (fs_read_file(path, PROC_MAX, &text, &len, &ignored) != 0)
                return -1;
        line = strstr((const char *)text, label);
        return line == NULL ? -1 : strtol(line + strlen(label), NULL, 10);
}

static bool has_ended(int pidfd)
{
        struct pollfd polled = {.fd = pidfd, .events = POLLIN};

        return poll(&polled, 1, 0) != 0;
}

/* It has our parent, and while it runs its number is its own. */
static int identify_sibling(int pidfd, pid_t *ret_pid, struct err *err)
{
        char path[64];
        long pid;

        (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
        pid = read_number(path, "\nPid:");
        (void)snprintf(path, sizeof(path), "/proc/%ld/status", pid);
        if (pid <= 0 || read_number(path, "\nPPid:") != (long)getppid() || has_ended(pidfd))
                return err_set(err, ERR_FAILED, "zygote: what it forked is not there");
        *ret_pid = (pid_t)pid;
        return 0;
}

/* The kernel's word for which process a pidfd is; it must be our own child. */
static int identify_child(int pidfd, pid_t *ret_pid, struct err *err)
{
        siginfo_t info = {0};
        char path[64];
        long pid;

        (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
        if (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
                return err_set_errno(err, errno, "zygote: not a child of ours");
        pid = read_number(path, "\nPid:");
        /* -1: it has ended, and as our child waits to be reaped under the number in info. */
        if (pid < 0)
                pid = info.si_pid;
        if (pid <= 0)
                return err_set(err, ERR_FAILED, "zygote: which process it forked is unknown");
        *ret_pid = (pid_t)pid;
        return 0;
}

static int take_answer(const struct vmm_zygote *zygote, struct wire_frame *frame,
                       struct spawn_child *ret_child, struct err *err)
{
        struct zygote_refused refused;
        struct spawn_child child = {.pidfd = -1, .sibling = zygote->siblings};
        int AUTO_FD pidfd = -1;
        int rc;

        if (frame->message->code == zygote_refused_code) {
                rc = wire_frame_decode(frame, &refused, sizeof(refused), err);
                return rc != 0 ? rc : err_set_errno(err, (int)refused.errnum, "fork an engine");
        }
        pidfd = TAKE_FD(frame->fds[0]);
        rc = zygote->siblings ? identify_sibling(pidfd, &child.pid, err)
                              : identify_child(pidfd, &child.pid, err);
        if (rc != 0)
                return rc;
        child.pidfd = TAKE_FD(pidfd);
        *ret_child = child;
        return 0;
}

static int send_request(struct vmm_zygote *zygote, const struct vmm_zygote_request *request,
                        struct err *err)
{
        const bool own = geteuid() == 0 && spawn_may_become(request->uid);
        const int fds[] = {request->core, request->control};
        const struct zygote_fork fork = {
            .uid = request->uid,
            .user = own ? ZYGOTE_USER_ID : ZYGOTE_USER_NAMESPACE,
            .nice = (uint8_t)request->nice,
            .memory_max = request->memory_max,
        };
        const struct zygote_spare spare = {
            .uid = fork.uid, .user = fork.user, .nice = fork.nice, .memory_max = fork.memory_max};

        if (request->control < 0)
                return wire_link_send(zygote->link, zygote_spare_code, ++zygote->id, 0, &spare, fds,
                                      err);
        return wire_link_send(zygote->link, zygote_fork_code, ++zygote->id, 0, &fork, fds, err);
}

/* The next frame, or DIED. */
static int await_frame(const struct vmm_zygote *zygote, int msec, struct wire_frame *ret_frame,
                       struct err *err)
{
        struct pollfd waiting = {.fd = wire_link_fd(zygote->link), .events = POLLIN};
        int n;

        do
                n = poll(&waiting, 1, msec);
        while (n < 0 && errno == EINTR);
        if (n <= 0) {
                (void)err_set(err, ERR_TIMEOUT, "zygote: no answer");
                return DIED;
        }
        return wire_link_receive(zygote->link, ret_frame, err) != 0 ? DIED : 0;
}

/* 0, a failure that another zygote would share, or DIED. */
static int receive(const struct vmm_zygote *zygote, struct spawn_child *ret_child, struct err *err)
{
        struct wire_frame frame;
        int rc = await_frame(zygote, VMM_ZYGOTE_ANSWER_MSEC, &frame, err);

        if (rc != 0)
                return rc;
        rc = take_answer(zygote, &frame, ret_child, err);
        wire_frame_close_fds(&frame);
        return rc;
}

/* 0, DIED, or ERR_TIMEOUT: it goes on with that. */
static int await_warmth(struct vmm_zygote *zygote, int patience_msec, struct err *err)
{
        const uint64_t age = now_msec() - zygote->born;
        const uint64_t left = age < (uint64_t)patience_msec ? (uint64_t)patience_msec - age : 0;
        struct wire_frame frame;
        int rc;

        if (zygote->warm)
                return 0;
        rc = await_frame(zygote, (int)left, &frame, err);
        if (rc != 0)
                return err->code == ERR_TIMEOUT && age < VMM_ZYGOTE_WARM_MSEC
                           ? err_set(err, ERR_TIMEOUT, "zygote: it warms up")
                           : DIED;
        zygote->warm = frame.message->code == zygote_ready_code;
        wire_frame_close_fds(&frame);
        return zygote->warm ? 0 : DIED;
}

static int ask(struct vmm_zygote *zygote, const struct vmm_zygote_request *request,
               struct spawn_child *ret_child, struct err *err)
{
        return send_request(zygote, request, err) != 0 ? DIED : receive(zygote, ret_child, err);
}

void vmm_zygote_settle(struct vmm_zygote *zygote)
{
        struct spawn_child child = {.pidfd = -1};
        struct err err = {0};
        int rc;

        if (zygote->asked == NULL)
                return;
        rc = receive(zygote, &child, &err);
        if (rc == DIED)
                stop(zygote);
        else
                tell(zygote, rc == 0 ? &child : NULL, rc == 0 ? NULL : &err);
}

/* One that runs and is warm: 0, or as await_warmth(). */
static int prepare(struct vmm_zygote *zygote, int patience_msec, struct err *err)
{
        int rc = vmm_zygote_warm(zygote, err);

        return rc != 0 ? rc : await_warmth(zygote, patience_msec, err);
}

/* The same for a second one, where the first has died. */
static int prepare_any(struct vmm_zygote *zygote, int patience_msec, struct err *err)
{
        int rc = prepare(zygote, patience_msec, err);

        if (rc != DIED)
                return rc;
        stop(zygote);
        *err = (struct err){0};
        rc = prepare(zygote, patience_msec, err);
        if (rc != DIED)
                return rc;
        stop(zygote);
        return err->code;
}

int vmm_zygote_ask(struct vmm_zygote *zygote, const struct vmm_zygote_request *request,
                   vmm_zygote_fn *done, void *user, int *ret_fd, struct err *err)
{
        int rc;

        vmm_zygote_settle(zygote);
        rc = prepare_any(zygote, 0, err);
        if (rc == 0 && send_request(zygote, request, err) != 0) {
                *err = (struct err){0};
                stop(zygote);
                rc = prepare_any(zygote, 0, err);
                if (rc == 0)
                        rc = send_request(zygote, request, err);
        }
        if (rc != 0)
                return err_wrap(err, "zygote");
        zygote->asked = done;
        zygote->asked_user = user;
        *ret_fd = wire_link_fd(zygote->link);
        return 0;
}

int vmm_zygote_fork(struct vmm_zygote *zygote, const struct vmm_zygote_request *request,
                    struct spawn_child *ret_child, struct err *err)
{
        bool fresh;
        int rc;

        vmm_zygote_settle(zygote);
        fresh = zygote->link == NULL;
        rc = prepare_any(zygote, request->patience_msec, err);
        if (rc == 0)
                rc = ask(zygote, request, ret_child, err);
        if (rc != DIED)
                return rc;
        stop(zygote);
        if (fresh)
                return err_wrap(err, "zygote");
        *err = (struct err){0};
        rc = prepare_any(zygote, request->patience_msec, err);
        if (rc == 0)
                rc = ask(zygote, request, ret_child, err);
        if (rc == DIED)
                stop(zygote);
        return rc == DIED ? err_wrap(err, "zygote") : rc;
}

pid_t vmm_zygote_pid(const struct vmm_zygote *zygote)
{
        return zygote->child.pid;
}

const char *vmm_zygote_words(const struct vmm_zygote *zygote)
{
        return zygote->child.words;
}
