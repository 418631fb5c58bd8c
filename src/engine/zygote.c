#include "engine/zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/confine.h"
#include "engine/warm.h"
#include "wire/link.h"
#include "wire/zygote.h"

/* What one child is to be; words is static since the child lives on with it. */
struct plan {
        struct zygote_fork request;
        bool spare;     /* without a control channel */
        uint64_t flags; /* of clone(2), as the kernel granted them */
        uid_t uid;      /* the zygote's */
        gid_t gid;
        char words[128];
};
static struct plan plan;

/* ---- in the child ---- */

/* Descriptors 3 and 4, and nothing else but the standard ones: the zygote's channel goes. */
static int take_channels(const int fds[2], struct err *err)
{
        const int keep[] = {CONFINE_CORE_FD, CONFINE_CONTROL_FD};
        const size_t n = plan.spare ? 1 : 2;
        int away[2];

        /* Away from their targets first; these copies are closed with all the rest. */
        for (size_t i = 0; i < n; i++) {
                away[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, CONFINE_CONTROL_FD + 1);
                if (away[i] < 0)
                        return err_set_errno(err, errno, "map descriptors");
        }
        for (size_t i = 0; i < n; i++)
                if (dup2(away[i], keep[i]) < 0)
                        return err_set_errno(err, errno, "map descriptors");
        return fd_close_all_but(CONFINE_CORE_FD, keep, n, err);
}

static int write_file(const char *path, const char *text, struct err *err)
{
        int AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC);

        if (fd < 0)
                return err_set_errno(err, errno, "open %s", path);
        return fd_write_all(fd, text, strlen(text), err);
}

/* One id each, as in spawn_start(): inside, the engine has its own number. */
static int map_ids(struct err *err)
{
        char uids[64];
        char gids[64];
        int rc;

        (void)snprintf(uids, sizeof(uids), "%u %u 1", plan.request.uid, plan.uid);
        (void)snprintf(gids, sizeof(gids), "%u %u 1", plan.request.uid, plan.gid);
        rc = write_file("/proc/self/setgroups", "deny", err);
        if (rc == 0)
                rc = write_file("/proc/self/uid_map", uids, err);
        if (rc == 0)
                rc = write_file("/proc/self/gid_map", gids, err);
        return rc;
}

static int change_identity(struct err *err)
{
        const uid_t uid = plan.request.uid;

        if ((plan.flags & CLONE_NEWUSER) != 0) {
                /* The files with the maps are root's while the memory is not dumpable. */
                if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
                        return err_set_errno(err, errno, "change user");
                return map_ids(err);
        }
        if (plan.request.user != ZYGOTE_USER_ID)
                return 0;
        if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
                return err_set_errno(err, errno, "change user");
        return 0;
}

/* No exec follows that would take them: capabilities of an own user namespace count, too. */
static int drop_capabilities(struct err *err)
{
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

        if (syscall(SYS_capset, &header, none) < 0)
                return err_set_errno(err, errno, "give up capabilities");
        return 0;
}

static int limit_one(__rlimit_resource_t resource, rlim_t value, struct err *err)
{
        const struct rlimit limit = {value, value};

        return setrlimit(resource, &limit) < 0 ? err_set_errno(err, errno, "set resource limit")
                                               : 0;
}

static int set_limits(struct err *err)
{
        const rlim_t memory = (rlim_t)plan.request.memory_max;

        /* Below the TCB's own, whatever that is: nobody may raise it here. */
        errno = 0;
        if (nice(plan.request.nice) == -1 && errno != 0)
                return err_set_errno(err, errno, "set the priority");
        return memory == 0 || CONFINE_SANITIZED ? 0 : limit_one(RLIMIT_DATA, memory, err);
}

/* After the change of user, which resets it. If it comes too late the closed channel tells. */
static int tie_to_tcb(struct err *err)
{
        if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
                return err_set_errno(err, errno, "tie to the parent's life");
        return 0;
}

static int become_engine(const int fds[2], struct err *err)
{
        int rc = take_channels(fds, err);

        if (rc == 0)
                rc = change_identity(err);
        if (rc == 0)
                rc = drop_capabilities(err);
        if (rc == 0)
                rc = set_limits(err);
        return rc == 0 ? tie_to_tcb(err) : rc;
}

/* ---- in the zygote ---- */

static bool is_refusal(int errnum)
{
        return errnum == EPERM || errnum == ENOSPC || errnum == EINVAL || errnum == EUSERS;
}

/*
 * As much isolation as the kernel gives; network, IPC and mounts are the zygote's own already.
 * CLONE_PARENT: see wire/zygote.def.
 */
static pid_t clone_best(int *ret_pidfd)
{
        const uint64_t user = plan.request.user == ZYGOTE_USER_NAMESPACE ? CLONE_NEWUSER : 0;
        const uint64_t tries[] = {user | CLONE_NEWPID, user, 0};
        pid_t pid = -1;

        for (size_t i = 0; i < ARRAY_SIZE(tries); i++) {
                plan.flags = tries[i];
                pid = (pid_t)syscall(SYS_clone, plan.flags | CLONE_PARENT | CLONE_PIDFD | SIGCHLD,
                                     NULL, ret_pidfd, NULL, NULL);
                if (pid >= 0 || !is_refusal(errno))
                        break;
        }
        return pid;
}

static void describe_plan(void)
{
        const bool user = plan.request.user == ZYGOTE_USER_ID || (plan.flags & CLONE_NEWUSER) != 0;
        const bool pid = (plan.flags & CLONE_NEWPID) != 0;

        (void)snprintf(plan.words, sizeof(plan.words), "%s%s%s", pid ? "" : "own pid namespace",
                       pid || user ? "" : ", ", user ? "" : "own user id");
}

static int answer(struct wire_link *link, uint32_t id, int pidfd, int errnum, struct err *err)
{
        const struct zygote_forked forked = {0};
        const struct zygote_refused refused = {.errnum = (uint32_t)errnum};

        return pidfd >= 0 ? wire_link_send(link, zygote_forked_code, id, 0, &forked, &pidfd, err)
                          : wire_link_send(link, zygote_refused_code, id, 0, &refused, NULL, err);
}

static int check_request(const struct zygote_fork *request, struct err *err)
{
        const bool user = request->user == ZYGOTE_USER_NAMESPACE || request->user == ZYGOTE_USER_ID;

        if (!user || request->uid == 0 || request->nice > ZYGOTE_NICE_MAX)
                return err_set(err, ERR_MALFORMED, "zygote: bad request");
        return 0;
}

static int decode_request(const struct wire_frame *frame, struct err *err)
{
        struct zygote_spare spare;
        int rc;

        plan.spare = frame->message->code == zygote_spare_code;
        if (!plan.spare)
                return wire_frame_decode(frame, &plan.request, sizeof(plan.request), err);
        rc = wire_frame_decode(frame, &spare, sizeof(spare), err);
        if (rc == 0)
                plan.request = (struct zygote_fork){.uid = spare.uid,
                                                    .user = spare.user,
                                                    .nice = spare.nice,
                                                    .memory_max = spare.memory_max};
        return rc;
}

/* One request. *ret_pid is 0 in the child. */
static int serve_one(struct wire_link *link, pid_t *ret_pid, struct err *err)
{
        struct wire_frame frame;
        int AUTO_FD pidfd = -1;
        int errnum;
        int rc = wire_link_receive(link, &frame, err);

        if (rc == 0)
                rc = decode_request(&frame, err);
        if (rc == 0)
                rc = check_request(&plan.request, err);
        if (rc != 0)
                return rc;
        wire_link_rest(link); /* a copy needs the memory for its own */
        *ret_pid = clone_best(&pidfd);
        errnum = errno;
        if (*ret_pid == 0) {
                describe_plan();
                return become_engine(frame.fds, err);
        }
        wire_frame_close_fds(&frame);
        return answer(link, frame.id, *ret_pid < 0 ? -1 : pidfd, errnum, err);
}

/* Of root's powers those that make a copy somebody else: none over files, devices or processes. */
static int keep_few_capabilities(struct err *err)
{
        const uint32_t few =
            1U << CAP_SETUID | 1U << CAP_SETGID | 1U << CAP_SYS_ADMIN | 1U << CAP_SETFCAP;
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {0};

        if (syscall(SYS_capget, &header, sets) < 0)
                return err_set_errno(err, errno, "read capabilities");
        for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
                sets[i].permitted &= i == 0 ? few : 0;
                sets[i].effective = sets[i].permitted;
                sets[i].inheritable = 0;
        }
        if (syscall(SYS_capset, &header, sets) < 0)
                return err_set_errno(err, errno, "give up capabilities");
        return 0;
}

static int greet(struct wire_link *link, struct err *err)
{
        const struct zygote_ready ready = {0};

        return wire_link_send(link, zygote_ready_code, 0, 0, &ready, NULL, err);
}

int zygote_run(struct zygote_child *ret_child, struct err *err)
{
        struct wire_link *link;
        pid_t pid = 1;
        int rc = keep_few_capabilities(err);

        if (rc == 0)
                rc = warm_up(err);
        if (rc == 0)
                rc = confine_prepare(err);
        /* The zygote's own, which it writes to between two forks, is already beside the copies'. */
        warm_settle();
        if (rc == 0)
                rc = wire_link_new(ZYGOTE_FD, &wire_zygote_protocol, WIRE_SERVER, &link, err);
        if (rc != 0)
                return rc;
        plan.uid = geteuid();
        plan.gid = getegid();
        rc = greet(link, err);
        while (rc == 0 && pid != 0)
                rc = serve_one(link, &pid, err);
        /* The child keeps the link's memory: its descriptor's number is the core channel's now. */
        if (pid == 0) {
                *ret_child = (struct zygote_child){.words = plan.words, .spare = plan.spare};
                return rc;
        }
        wire_link_free(link);
        return rc == ERR_UNREACHABLE ? 0 : rc;
}
