#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"

#define UID_MAP_MAX      65536
#define START_MSEC       10000 /* for its execve(), by default */
#define SIBLING_END_MSEC 5000  /* for a killed one to be gone */

static const struct {
        unsigned bit;
        uint64_t clone_flag;
        const char *name;
} namespaces[] = {
    {SPAWN_ISOLATE_NET, CLONE_NEWNET, "network"}, {SPAWN_ISOLATE_IPC, CLONE_NEWIPC, "ipc"},
    {SPAWN_ISOLATE_MOUNT, CLONE_NEWNS, "mount"},  {SPAWN_ISOLATE_PID, CLONE_NEWPID, "pid"},
    {SPAWN_ISOLATE_USER, CLONE_NEWUSER, "user"},
};

/* Where the child failed; the names complete "start PROGRAM: ". */
enum stage {
        STAGE_PARENT,
        STAGE_FDS,
        STAGE_MOUNT,
        STAGE_GROUP,
        STAGE_USER,
        STAGE_PRIVILEGES,
        STAGE_DEATH,
        STAGE_LIMIT,
        STAGE_EXEC,
        STAGE_COUNT,
};

static const char *const stage_names[STAGE_COUNT] = {
    [STAGE_PARENT] = "wait for the parent",
    [STAGE_FDS] = "map descriptors",
    [STAGE_MOUNT] = "make mounts private",
    [STAGE_GROUP] = "change group",
    [STAGE_USER] = "change user",
    [STAGE_PRIVILEGES] = "give up new privileges",
    [STAGE_DEATH] = "tie to the parent's life",
    [STAGE_LIMIT] = "set resource limit",
    [STAGE_EXEC] = "execute",
};

/* What the child tells when it fails; nothing comes when the exec succeeds. */
struct report {
        int stage;
        int errnum;
};

/* All the child needs, made before the fork. */
struct plan {
        const struct spawn_request *request;
        struct spawn_fd fds[SPAWN_FDS_MAX];
        size_t n_fds;
        unsigned isolate;
        int report_fd;
        int program_fd; /* the program, for a user who may not walk to it; or -1 */
        bool change_user;
};

/* ---- in the child: async-signal-safe calls only ---- */

static _Noreturn void child_fail(const struct plan *plan, enum stage stage)
{
        struct report report = {.stage = (int)stage, .errnum = errno};

        (void)!send(plan->report_fd, &report, sizeof(report), MSG_NOSIGNAL);
        _exit(127);
}

/*
 * The name that ps shows is the path's; by descriptor it would be a number. So the path comes
 * first, and the descriptor is for an own uid that may not enter the program's directory.
 */
static _Noreturn void child_exec(const struct plan *plan)
{
        const struct spawn_request *request = plan->request;
        static const char *const no_env[] = {NULL};
        char *const *argv = (char *const *)(uintptr_t)request->argv;
        char *const *env = (char *const *)(uintptr_t)(request->env != NULL ? request->env : no_env);

        if (request->program == NULL)
                (void)execve(request->path, argv, env);
        if (request->program != NULL || (errno == EACCES && plan->program_fd >= 0))
                (void)execveat(plan->program_fd, "", argv, env, AT_EMPTY_PATH);
        child_fail(plan, STAGE_EXEC);
}

/* In a chroot the root is no mount: the namespace is our own, but mounts outside come in. */
static void child_make_private(const struct plan *plan)
{
        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
                return;
        if (errno != EINVAL || send(plan->report_fd, "m", 1, MSG_NOSIGNAL) != 1)
                child_fail(plan, STAGE_MOUNT);
}

static void child_reset_signals(void)
{
        struct sigaction action = {.sa_handler = SIG_DFL};
        sigset_t none;

        for (int sig = 1; sig < _NSIG; sig++)
                (void)sigaction(sig, &action, NULL); /* fails for KILL, STOP and glibc's own */
        sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static int child_move_fd(const struct plan *plan, int fd)
{
        int moved = fcntl(fd, F_DUPFD_CLOEXEC, SPAWN_TARGET_MAX);

        if (moved < 0) {
                /* That is what it says of a limit that is as low as the target. */
                if (errno == EINVAL)
                        errno = EMFILE;
                child_fail(plan, STAGE_FDS);
        }
        return moved;
}

/* Away from every target first, so that no target overwrites a source that is still needed. */
static void child_map_fds(struct plan *plan)
{
        plan->report_fd = child_move_fd(plan, plan->report_fd);
        for (size_t i = 0; i < plan->n_fds; i++)
                plan->fds[i].source = child_move_fd(plan, plan->fds[i].source);
        if (plan->program_fd >= 0)
                plan->program_fd = child_move_fd(plan, plan->program_fd);
        if (close_range(0, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
                child_fail(plan, STAGE_FDS);
        for (size_t i = 0; i < plan->n_fds; i++)
                if (dup2(plan->fds[i].source, plan->fds[i].target) < 0)
                        child_fail(plan, STAGE_FDS);
}

static void child_change_identity(const struct plan *plan)
{
        const struct spawn_request *request = plan->request;

        if (!plan->change_user)
                return;
        if (setgroups(0, NULL) < 0 || setresgid(request->gid, request->gid, request->gid) < 0)
                child_fail(plan, STAGE_GROUP);
        if (setresuid(request->uid, request->uid, request->uid) < 0)
                child_fail(plan, STAGE_USER);
}

/* After the change of user, which would reset the signal; then look whether it came too late. */
static void child_tie_to_parent(const struct plan *plan)
{
        char byte;

        if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
                child_fail(plan, STAGE_DEATH);
        if (recv(plan->report_fd, &byte, 1, MSG_DONTWAIT) == 0)
                _exit(127);
}

static _Noreturn void child_run(struct plan *plan, int parent_end)
{
        const struct spawn_request *request = plan->request;
        char go;

        (void)close(parent_end);
        child_reset_signals();
        if (request->own_group)
                (void)setpgid(0, 0); /* cannot fail: it leads no session */
        /* The files with our id maps are root's while the memory counts as not dumpable, which a
         * TCB's copy does; the exec sets it anew anyway. */
        if ((plan->isolate & SPAWN_ISOLATE_USER) != 0)
                (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
        if (send(plan->report_fd, "r", 1, MSG_NOSIGNAL) != 1 ||
            recv(plan->report_fd, &go, 1, 0) != 1)
                child_fail(plan, STAGE_PARENT);
        child_map_fds(plan);
        if ((plan->isolate & SPAWN_ISOLATE_MOUNT) != 0)
                child_make_private(plan);
        child_change_identity(plan);
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                child_fail(plan, STAGE_PRIVILEGES);
        child_tie_to_parent(plan);
        for (size_t i = 0; i < request->n_limits; i++) {
                struct rlimit limit = {request->limits[i].value, request->limits[i].value};

                if (setrlimit((__rlimit_resource_t)request->limits[i].resource, &limit) < 0)
                        child_fail(plan, STAGE_LIMIT);
        }
        child_exec(plan);
}

/* ---- in the parent ---- */

static bool has_target(const struct plan *plan, int target)
{
        for (size_t i = 0; i < plan->n_fds; i++)
                if (plan->fds[i].target == target)
                        return true;
        return false;
}

static int plan_fds(struct plan *plan, int null_fd, struct err *err)
{
        const struct spawn_request *request = plan->request;

        if (request->path[0] != '/' || request->n_fds > SPAWN_FDS_MAX - 3)
                return err_set(err, ERR_USAGE, "start %s: bad request", request->path);
        for (size_t i = 0; i < request->n_fds; i++) {
                const struct spawn_fd *fd = &request->fds[i];

                if (fd->source < 0 || fd->target < 0 || fd->target >= SPAWN_TARGET_MAX ||
                    has_target(plan, fd->target))
                        return err_set(err, ERR_USAGE, "start %s: bad descriptor map (%d to %d)",
                                       request->path, fd->source, fd->target);
                plan->fds[plan->n_fds++] = *fd;
        }
        for (int target = 0; target < 3; target++)
                if (!has_target(plan, target))
                        plan->fds[plan->n_fds++] = (struct spawn_fd){null_fd, target};
        return 0;
}

/*
 * clone(2) and not clone3(2): container filters answer ENOSYS for the latter, because they cannot
 * see its flags. Without a stack it behaves like fork(2).
 */
static pid_t clone_isolated(unsigned isolate, bool sibling, int *ret_pidfd)
{
        uint64_t flags = CLONE_PIDFD | SIGCHLD | (sibling ? (uint64_t)CLONE_PARENT : 0);

        for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++)
                if ((isolate & namespaces[i].bit) != 0)
                        flags |= namespaces[i].clone_flag;
        return (pid_t)syscall(SYS_clone, flags, NULL, ret_pidfd, NULL, NULL);
}

static bool is_refusal(int errnum)
{
        return errnum == EPERM || errnum == ENOSPC || errnum == EINVAL || errnum == EUSERS ||
               errnum == ENOSYS;
}

/* As much isolation as the kernel gives: all, all but one, the user namespace alone, none. */
static pid_t clone_best(struct plan *plan, int parent_end, int *ret_pidfd)
{
        const unsigned wanted = plan->isolate;
        unsigned tries[ARRAY_SIZE(namespaces) + 3];
        size_t n = 0;
        pid_t pid = -1;

        tries[n++] = wanted;
        for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++)
                if ((wanted & namespaces[i].bit) != 0)
                        tries[n++] = wanted & ~namespaces[i].bit;
        tries[n++] = wanted & SPAWN_ISOLATE_USER;
        tries[n++] = 0;
        for (size_t i = 0; i < n; i++) {
                plan->isolate = tries[i];
                pid = clone_isolated(tries[i], plan->request->sibling, ret_pidfd);
                if (pid == 0)
                        child_run(plan, parent_end);
                if (pid > 0 || !is_refusal(errno))
                        break;
        }
        return pid;
}

static int write_proc(pid_t pid, const char *name, const char *text, struct err *err)
{
        char path[64];
        int AUTO_FD fd = -1;

        (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return err_set_errno(err, errno, "open %s", path);
        if (write(fd, text, strlen(text)) < 0)
                return err_set_errno(err, errno, "write %s", path);
        return 0;
}

/* Three numbers a line: first id inside, first id outside, how many (user_namespaces(7)). */
static bool line_maps(const char *line, uid_t uid)
{
        char *at = NULL;
        unsigned long inside = strtoul(line, &at, 10);
        unsigned long count;

        (void)strtoul(at, &at, 10);
        count = strtoul(at, &at, 10);
        return uid >= inside && uid - inside < count;
}

/* An unreadable map is the kernel's business. */
bool spawn_may_become(uid_t uid)
{
        uint8_t AUTO_FREE *text = NULL;
        struct err ignored = {0};
        const char *line;
        size_t len;

        if (fs_read_file("/proc/self/setgroups", 64, &text, &len, &ignored) == 0 &&
            strncmp((const char *)text, "deny", 4) == 0)
                return false;
        free(TAKE(text));
        if (fs_read_file("/proc/self/uid_map", UID_MAP_MAX, &text, &len, &ignored) != 0)
                return true;
        for (line = (const char *)text; line != NULL; line = strchr(line + 1, '\n'))
                if (line_maps(line, uid))
                        return true;
        return false;
}

/*
 * One id each: inside, the child is an ordinary user without capabilities. It has its own number,
 * or where root could not give it one the number that it was to have.
 */
static int map_ids(pid_t pid, const struct spawn_request *request, struct err *err)
{
        const bool root = geteuid() == 0 && request->uid != 0;
        char uids[64];
        char gids[64];
        int rc;

        (void)snprintf(uids, sizeof(uids), "%u %u 1", root ? request->uid : geteuid(), geteuid());
        (void)snprintf(gids, sizeof(gids), "%u %u 1", root ? request->gid : getegid(), getegid());
        rc = write_proc(pid, "setgroups", "deny", err);
        if (rc == 0)
                rc = write_proc(pid, "uid_map", uids, err);
        if (rc == 0)
                rc = write_proc(pid, "gid_map", gids, err);
        return rc;
}

static void describe_degraded(const struct spawn_request *request, struct spawn_child *child)
{
        size_t len;

        if (child->degraded == 0)
                return;
        (void)snprintf(child->words, sizeof(child->words),
                       "%s runs without its own:", request->path);
        for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++) {
                len = strlen(child->words);
                if ((child->degraded & namespaces[i].bit) != 0)
                        (void)snprintf(child->words + len, sizeof(child->words) - len,
                                       " %s namespace,", namespaces[i].name);
        }
        len = strlen(child->words);
        if ((child->degraded & SPAWN_DEGRADED_UID) != 0)
                (void)snprintf(child->words + len, sizeof(child->words) - len, " user id,");
        child->words[strlen(child->words) - 1] = '\0';
}

/* As where the program lies on a disk that does not answer. */
static int too_late(const struct plan *plan, struct err *err)
{
        (void)err_set(err, ERR_TIMEOUT, "start %s: it does not get there", plan->request->path);
        return err_hint(err, "see whether the disk that it lies on answers");
}

static int limit_wait(int sock, const struct plan *plan, struct err *err)
{
        const int msec =
            plan->request->patience_msec == 0 ? START_MSEC : plan->request->patience_msec;
        const struct timeval time = {.tv_sec = msec / 1000, .tv_usec = msec % 1000 * 1000L};

        return setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)) < 0
                   ? err_set_errno(err, errno, "start %s", plan->request->path)
                   : 0;
}

/* Lets the child go and learns whether it reached the program, and with what isolation. */
static int release(int sock, struct plan *plan, struct err *err)
{
        struct report report;
        ssize_t n;

        if (send(sock, "g", 1, MSG_NOSIGNAL) != 1)
                return err_set_errno(err, errno, "start %s", plan->request->path);
        do {
                n = recv(sock, &report, sizeof(report), 0);
                if (n == 1)
                        plan->isolate &= ~(unsigned)SPAWN_ISOLATE_MOUNT;
        } while (n == 1 || (n < 0 && errno == EINTR));
        if (n == 0)
                return 0;
        if (n < 0 && errno == EAGAIN)
                return too_late(plan, err);
        if (n != (ssize_t)sizeof(report) || report.stage < 0 || report.stage >= STAGE_COUNT)
                return err_set(err, ERR_FAILED, "start %s: no report", plan->request->path);
        return err_set_errno(err, report.errnum, "start %s: %s", plan->request->path,
                             stage_names[report.stage]);
}

static int start(struct plan *plan, struct spawn_child *child, struct err *err)
{
        int AUTO_FD ours = -1;
        int AUTO_FD theirs = -1;
        int pair[2];
        ssize_t n;
        char ready;
        int rc = fd_socketpair(SOCK_SEQPACKET, pair, err);

        if (rc != 0)
                return rc;
        ours = pair[0];
        theirs = pair[1];
        plan->report_fd = theirs;
        rc = limit_wait(ours, plan, err);
        if (rc != 0)
                return rc;
        child->pid = clone_best(plan, ours, &child->pidfd);
        if (child->pid < 0) {
                child->pid = 0;
                return err_set_errno(err, errno, "start %s: fork", plan->request->path);
        }
        fd_close(&theirs);
        n = recv(ours, &ready, 1, 0);
        if (n != 1)
                return n < 0 && errno == EAGAIN
                           ? too_late(plan, err)
                           : err_set(err, ERR_FAILED, "start %s: the child died",
                                     plan->request->path);
        if ((plan->isolate & SPAWN_ISOLATE_USER) != 0)
                rc = map_ids(child->pid, plan->request, err);
        if (rc == 0 && plan->request->announce != NULL)
                rc = plan->request->announce(plan->request->user, child, err);
        return rc != 0 ? rc : release(ours, plan, err);
}

int spawn_start(const struct spawn_request *request, struct spawn_child *ret_child, struct err *err)
{
        const bool root = geteuid() == 0 && (request->uid == 0 || spawn_may_become(request->uid));
        const unsigned wanted = request->isolate & (root ? ~(unsigned)SPAWN_ISOLATE_USER : ~0U);
        struct plan plan = {
            .request = request, .isolate = wanted, .change_user = root && request->uid != 0};
        struct spawn_child child = {.pid = 0, .pidfd = -1, .sibling = request->sibling};
        int AUTO_FD null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        int AUTO_FD program_fd = open(request->path, O_PATH | O_CLOEXEC);
        int rc;

        if (null_fd < 0)
                return err_set_errno(err, errno, "open /dev/null");
        /* -1: the child's execve() says why */
        plan.program_fd = request->program != NULL ? *request->program : program_fd;
        rc = plan_fds(&plan, null_fd, err);
        if (rc == 0)
                rc = start(&plan, &child, err);
        if (rc != 0) {
                if (child.pid > 0 && !spawn_end(&child, SIBLING_END_MSEC))
                        fd_close(&child.pidfd); /* it ends when it can */
                return rc;
        }
        child.degraded = wanted & ~plan.isolate;
        if ((request->isolate & SPAWN_ISOLATE_USER) != 0 && !plan.change_user &&
            (plan.isolate & SPAWN_ISOLATE_USER) == 0)
                child.degraded |= SPAWN_DEGRADED_UID;
        describe_degraded(request, &child);
        *ret_child = child;
        return 0;
}

int spawn_wait(struct spawn_child *child, int timeout_ms, int *ret_status, struct err *err)
{
        struct pollfd waiting = {.fd = child->pidfd, .events = POLLIN};
        int status = SPAWN_STATUS_UNKNOWN;
        int n;

        do
                n = poll(&waiting, 1, timeout_ms);
        while (n < 0 && errno == EINTR);
        if (n == 0)
                return err_set(err, ERR_TIMEOUT, "process %d still runs", (int)child->pid);
        if (n < 0 || (!child->sibling && waitpid(child->pid, &status, 0) != child->pid))
                return err_set_errno(err, errno, "wait for process %d", (int)child->pid);
        fd_close(&child->pidfd);
        child->pid = 0;
        *ret_status = status;
        return 0;
}

/* Its number may be another's once its parent has reaped it: the pidfd never is. */
bool spawn_end(struct spawn_child *child, int timeout_ms)
{
        struct err ignored = {0};
        int status;

        (void)syscall(SYS_pidfd_send_signal, child->pidfd, SIGKILL, NULL, 0);
        return spawn_wait(child, timeout_ms, &status, &ignored) != ERR_TIMEOUT;
}

void spawn_kill(struct spawn_child *child)
{
        if (child->pid > 0 && child->sibling) {
                (void)!spawn_end(child, SIBLING_END_MSEC);
        } else if (child->pid > 0) {
                (void)kill(child->pid, SIGKILL);
                (void)waitpid(child->pid, NULL, 0);
        }
        child->pid = 0;
        fd_close(&child->pidfd);
}

int spawn_dismiss(struct spawn_child *child)
{
        int AUTO_FD pidfd = TAKE_FD(child->pidfd);

        if (child->pid <= 0 || pidfd < 0)
                return -1;
        child->pid = 0;
        (void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
        return child->sibling ? -1 : TAKE_FD(pidfd);
}

void spawn_reap(int pidfd)
{
        siginfo_t info;

        (void)waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED);
}
