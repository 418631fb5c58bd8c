#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/spawn.h"
#include "supervisor/pace.h"
#include "supervisor/process.h"
#include "supervisor/serve.h"
#include "supervisor/watch.h"

#define LEAVE_MSEC     30000 /* for a TCB that was asked to leave; then it is killed */
#define OWN_FDS        64    /* descriptors that are not kept for anybody */
#define SIGNALS_MAX    16
#define LAST_WORDS_MAX 4096 /* turns of reading; a socket's buffer is done in a few */
#define STATUS_CRASH   1

struct supervisor {
        const struct supervisor_request *request;
        struct serve_keep keep;
        struct serve *serve;    /* of the TCB that runs, else NULL */
        struct spawn_child tcb; /* pid 0: none runs */
        struct pace pace;
        struct watch watch;
        char verdict[120]; /* why we ended the TCB that is about to end, or "" */
        int signals;
        int good;        /* the program that served last */
        int program;     /* the one that runs, or is to run next */
        uint64_t served; /* since when it serves; 0: not yet */
        uint64_t due;    /* when something is to be done: a start, or a leave that takes long */
        uint64_t beat;   /* when our starter is to hear from us; 0: never */
        bool ready;      /* any TCB ever served */
        bool upgrading;  /* the TCB was asked to leave, or the next build is starting */
        bool wanted;     /* an upgrade, as soon as there is a TCB to take over from, or none */
        bool fell_back;  /* the last upgrade came to nothing */
        bool stopping;   /* the end was asked for */
        bool ended;
        int status;
};

static uint64_t now_msec(void)
{
        struct timespec now = {0};

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* How it stands, for systemctl status, and what the service manager has to know. */
static void tell(const struct supervisor *supervisor, const char *state, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void tell(const struct supervisor *supervisor, const char *state, const char *fmt, ...)
{
        char words[256];
        char lines[400];
        va_list args;

        va_start(args, fmt);
        (void)vsnprintf(words, sizeof(words), fmt, args);
        va_end(args);
        (void)snprintf(lines, sizeof(lines), "%sSTATUS=%s", state, words);
        supervisor->request->notify(lines);
}

static void end(struct supervisor *supervisor, int status)
{
        supervisor->ended = true;
        supervisor->status = status;
}

/* Starting ------------------------------------------------------------------------------------- */

static int open_program(const char *path, int *ret_fd, struct err *err)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0)
                return err_set_errno(err, errno, "open %s", path);
        fd_close(ret_fd);
        *ret_fd = fd;
        return 0;
}

static int spawn_tcb(struct supervisor *supervisor, int channel, struct err *err)
{
        const struct spawn_fd fds[] = {{1, 1}, {2, 2}, {channel, SUPERVISOR_TCB_FD}};
        const struct spawn_request request = {.path = supervisor->request->program,
                                              .program = &supervisor->program,
                                              .argv = supervisor->request->argv,
                                              .env = supervisor->request->env,
                                              .fds = fds,
                                              .n_fds = ARRAY_SIZE(fds),
                                              .own_group = true};

        return spawn_start(&request, &supervisor->tcb, err);
}

static int start_tcb(struct supervisor *supervisor, struct err *err)
{
        int pair[2];
        int rc = fd_socketpair(SOCK_SEQPACKET, pair, err);

        if (rc != 0)
                return rc;
        supervisor->keep.starts++;
        supervisor->served = 0;
        supervisor->due = 0;
        supervisor->verdict[0] = '\0';
        watch_start(&supervisor->watch, now_msec());
        rc = spawn_tcb(supervisor, pair[1], err);
        fd_close(&pair[1]);
        if (rc != 0) {
                fd_close(&pair[0]);
                return rc;
        }
        rc = serve_new(pair[0], &supervisor->keep, &supervisor->serve, err);
        if (rc != 0)
                spawn_kill(&supervisor->tcb);
        return rc;
}

/* A new build that does not come up, or is not there, is no reason to end the guests. */
static void fall_back(struct supervisor *supervisor)
{
        log_error(NULL, "the new catena-tcb does not serve; the one before goes on");
        supervisor->upgrading = false;
        supervisor->fell_back = true;
        fd_close(&supervisor->program);
        supervisor->program = fcntl(supervisor->good, F_DUPFD_CLOEXEC, 3);
        supervisor->due = now_msec();
}

static void start_next(struct supervisor *supervisor)
{
        struct err err = {0};

        if (start_tcb(supervisor, &err) == 0)
                return;
        log_error((&(struct log_fields){.err = &err}), "catena-tcb is not started");
        if (supervisor->upgrading)
                fall_back(supervisor);
        else
                supervisor->due = now_msec() + pace_after_death(&supervisor->pace, 0);
}

/* SIGHUP. A TCB that does not serve yet is waited for; where there is none, the next start is it.
 */
static void upgrade(struct supervisor *supervisor)
{
        const bool running = supervisor->tcb.pid > 0;
        struct err err = {0};
        char state[64];

        supervisor->wanted = false;
        if (supervisor->upgrading || supervisor->stopping) {
                log_warning(NULL, "no upgrade now: one, or the end, is under way");
                return;
        }
        if (running && supervisor->served == 0) {
                log_info(NULL, "upgrade: as soon as the catena-tcb that starts serves or ends");
                supervisor->wanted = true;
                return;
        }
        if (open_program(supervisor->request->program, &supervisor->program, &err) != 0 ||
            (running && serve_ask_to_leave(supervisor->serve, &err) != 0)) {
                log_error((&(struct log_fields){.op = "upgrade", .err = &err}), "no upgrade");
                return;
        }
        log_info(NULL, "upgrade: %s",
                 running ? "catena-tcb is asked to leave" : "catena-tcb does not run");
        (void)snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%llu\n",
                       (unsigned long long)now_msec() * 1000);
        tell(supervisor, state, "the next catena-tcb takes over");
        supervisor->upgrading = true;
        supervisor->fell_back = false;
        supervisor->due = now_msec() + (running ? LEAVE_MSEC : 0);
}

/* The end of a TCB ------------------------------------------------------------------------------
 */

static void describe(int status, const char *verdict, char *ret_words, size_t size)
{
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && verdict[0] != '\0')
                (void)snprintf(ret_words, size, "%s", verdict);
        else if (WIFSIGNALED(status))
                (void)snprintf(ret_words, size, "killed by signal %d", WTERMSIG(status));
        else
                (void)snprintf(ret_words, size, "ended with status %d", WEXITSTATUS(status));
}

/* What it sent last is in the socket still. */
static void hear_last_words(struct supervisor *supervisor)
{
        struct err err = {0};
        int rc = 0;

        for (int i = 0; rc == 0 && i < LAST_WORDS_MAX; i++)
                rc = serve_process(supervisor->serve, &err);
        if (rc < 0 && rc != ERR_UNREACHABLE)
                log_warning((&(struct log_fields){.peer = "catena-tcb", .err = &err}),
                            "its last words make no sense");
}

static void note_death(struct supervisor *supervisor)
{
        struct serve_keep *keep = &supervisor->keep;

        keep->deaths++;
        keep->last_death = (uint64_t)time(NULL);
        (void)snprintf(keep->death, sizeof(keep->death), "%s", keep->why);
        log_error(NULL, "catena-tcb %s; %zu descriptors are kept", keep->why,
                  keep_count_fds(keep->keep));
}

static void start_again(struct supervisor *supervisor)
{
        const uint64_t served = supervisor->served == 0 ? 0 : now_msec() - supervisor->served;
        const uint64_t pause = pace_after_death(&supervisor->pace, served);

        note_death(supervisor);
        if (served >= PACE_GOOD_MSEC)
                watch_forgive(&supervisor->watch);
        supervisor->due = now_msec() + pause;
        if (!pace_is_bad(&supervisor->pace)) {
                tell(supervisor, "", "catena-tcb %s and is started again", supervisor->keep.why);
                return;
        }
        log_error(
            NULL,
            "it dies again and again: the next start is in %llu ms, and guests wait for their "
            "vTPMs; its own last lines say why; install a build that works and reload, or "
            "stop, which ends them",
            (unsigned long long)pause);
        tell(supervisor, "", "catena-tcb dies again and again (%s): guests wait; reload or stop",
             supervisor->keep.why);
}

static void on_tcb_ended(struct supervisor *supervisor, int status)
{
        const int code = WIFEXITED(status) ? WEXITSTATUS(status) : STATUS_CRASH;
        const bool serving = supervisor->served != 0;
        bool done;

        fd_close(&supervisor->tcb.pidfd);
        supervisor->tcb.pid = 0;
        hear_last_words(supervisor);
        done = serve_is_done(supervisor->serve);
        serve_free(TAKE(supervisor->serve));
        describe(status, supervisor->verdict, supervisor->keep.why, sizeof(supervisor->keep.why));
        if (done || supervisor->stopping || !supervisor->ready)
                end(supervisor, done && code != 0 && supervisor->stopping ? 0 : code);
        else if (supervisor->upgrading && serving)
                supervisor->due = now_msec(); /* it left; or died, which comes to the same */
        else if (supervisor->upgrading)
                fall_back(supervisor);
        else
                start_again(supervisor);
        if (supervisor->wanted && !supervisor->ended)
                upgrade(supervisor);
}

/* What happens --------------------------------------------------------------------------------- */

static void note_serving(struct supervisor *supervisor)
{
        int copy;

        if (supervisor->served != 0 || !serve_is_serving(supervisor->serve))
                return;
        supervisor->served = now_msec();
        supervisor->upgrading = false;
        copy = fcntl(supervisor->program, F_DUPFD_CLOEXEC, 3);
        if (copy >= 0) {
                fd_close(&supervisor->good);
                supervisor->good = copy;
        }
        if (!supervisor->ready)
                log_info(NULL, "catena-tcb serves");
        else
                log_info(NULL, "catena-tcb serves again: start %u", supervisor->keep.starts);
        tell(supervisor, "READY=1\n", "catena-tcb serves: start %u%s", supervisor->keep.starts,
             supervisor->fell_back ? "; the other build did not, this is the one before" : "");
        supervisor->ready = true;
        if (supervisor->wanted)
                upgrade(supervisor);
}

/* A TCB that is not to go on: what it had others keep goes to the next one. */
static void end_tcb(struct supervisor *supervisor, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void end_tcb(struct supervisor *supervisor, const char *fmt, ...)
{
        va_list args;

        va_start(args, fmt);
        (void)vsnprintf(supervisor->verdict, sizeof(supervisor->verdict), fmt, args);
        va_end(args);
        (void)kill(supervisor->tcb.pid, SIGKILL);
}

static void note_answer(struct supervisor *supervisor)
{
        uint64_t silent;

        if (!serve_take_answer(supervisor->serve))
                return;
        silent = watch_answered(&supervisor->watch, now_msec());
        if (silent > 0)
                log_info(NULL, "catena-tcb answers again after %llu s",
                         (unsigned long long)silent / 1000);
}

/* A TCB that breaks the protocol is none. */
static void hear_tcb(struct supervisor *supervisor)
{
        struct err err = {0};
        int rc = serve_process(supervisor->serve, &err);

        if (rc == ERR_UNREACHABLE) {
                (void)kill(supervisor->tcb.pid, SIGKILL); /* it ends, and should be quick */
        } else if (rc < 0) {
                log_error((&(struct log_fields){.peer = "catena-tcb", .err = &err}), "cut off");
                end_tcb(supervisor, "was cut off: %.80s", err.text);
        } else {
                note_answer(supervisor);
                note_serving(supervisor);
        }
}

/* One that leaves has a time of its own. */
static void watch_tcb(struct supervisor *supervisor)
{
        const char state = process_state(supervisor->tcb.pid);
        const enum watch_word word = watch_turn(&supervisor->watch, now_msec(), state);
        const unsigned long long seconds = supervisor->watch.silent / 1000;
        struct err err = {0};

        if (word == WATCH_WARN)
                log_warning(NULL, "catena-tcb has not answered for %llu s: %s", seconds,
                            process_state_words(state));
        if (word == WATCH_END) {
                log_error(NULL, "catena-tcb has not answered for %llu s (%s): killed", seconds,
                          process_state_words(state));
                end_tcb(supervisor, "did not answer for %llu s and was killed", seconds);
        } else if (serve_ask(supervisor->serve, &err) != 0) {
                log_error((&(struct log_fields){.err = &err}), "catena-tcb cannot be asked");
        }
}

static void reap(struct supervisor *supervisor)
{
        for (;;) {
                int status;
                pid_t pid = waitpid(-1, &status, WNOHANG);

                if (pid <= 0)
                        return;
                if (pid == supervisor->tcb.pid)
                        on_tcb_ended(supervisor, status);
                else
                        serve_exited(supervisor->serve, &supervisor->keep, pid, status);
        }
}

static void stop(struct supervisor *supervisor, int signal)
{
        supervisor->stopping = true;
        tell(supervisor, "STOPPING=1\n", "guests are asked to power off");
        if (supervisor->tcb.pid > 0)
                (void)kill(supervisor->tcb.pid, signal);
        else
                end(supervisor, 0);
}

static void hear_signals(struct supervisor *supervisor)
{
        struct signalfd_siginfo infos[SIGNALS_MAX];
        ssize_t n = read(supervisor->signals, infos, sizeof(infos));

        for (size_t i = 0; n > 0 && i < (size_t)n / sizeof(infos[0]); i++) {
                if (infos[i].ssi_signo == SIGCHLD)
                        reap(supervisor);
                else if (infos[i].ssi_signo == SIGHUP)
                        upgrade(supervisor);
                else
                        stop(supervisor, (int)infos[i].ssi_signo);
        }
}

static void on_due(struct supervisor *supervisor)
{
        supervisor->due = 0;
        if (supervisor->tcb.pid == 0) {
                start_next(supervisor);
                return;
        }
        log_warning(NULL, "catena-tcb does not leave: killed");
        end_tcb(supervisor, "did not leave and was killed");
}

/* Whoever started us sees that we turn. */
static void beat(struct supervisor *supervisor)
{
        supervisor->request->notify("WATCHDOG=1");
        supervisor->beat = now_msec() + supervisor->request->beat_msec;
}

/* When something is to be done though nothing happens; or never. */
static uint64_t next_due(const struct supervisor *supervisor)
{
        uint64_t due = supervisor->due == 0 ? UINT64_MAX : supervisor->due;

        if (supervisor->beat != 0 && supervisor->beat < due)
                due = supervisor->beat;
        if (supervisor->tcb.pid > 0 && watch_due(&supervisor->watch) < due)
                due = watch_due(&supervisor->watch);
        return due;
}

static void do_what_is_due(struct supervisor *supervisor)
{
        const uint64_t now = now_msec();

        if (supervisor->due != 0 && now >= supervisor->due)
                on_due(supervisor);
        if (supervisor->tcb.pid > 0 && now >= watch_due(&supervisor->watch))
                watch_tcb(supervisor);
        if (supervisor->beat != 0 && now >= supervisor->beat)
                beat(supervisor);
}

static int turn(struct supervisor *supervisor, struct err *err)
{
        const uint64_t now = now_msec();
        const uint64_t due = next_due(supervisor);
        struct pollfd fds[2] = {{.fd = supervisor->signals, .events = POLLIN}, {.fd = -1}};
        int timeout = -1;

        if (due != UINT64_MAX)
                timeout = due <= now ? 0 : due - now > INT_MAX ? INT_MAX : (int)(due - now);
        if (supervisor->serve != NULL)
                fds[1] = (struct pollfd){.fd = serve_fd(supervisor->serve),
                                         .events = serve_events(supervisor->serve)};
        if (poll(fds, ARRAY_SIZE(fds), timeout) < 0 && errno != EINTR)
                return err_set_errno(err, errno, "poll");
        /* First what the TCB says: its end is a signal. */
        if (fds[1].revents != 0)
                hear_tcb(supervisor);
        if (fds[0].revents != 0)
                hear_signals(supervisor);
        if (!supervisor->ended)
                do_what_is_due(supervisor);
        return 0;
}

/* Coming and going ------------------------------------------------------------------------------
 */

static int watch_signals(int *ret_fd, struct err *err)
{
        const int watched[] = {SIGCHLD, SIGHUP, SIGTERM, SIGINT};
        sigset_t mask;

        (void)sigemptyset(&mask);
        for (size_t i = 0; i < ARRAY_SIZE(watched); i++)
                (void)sigaddset(&mask, watched[i]);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return err_set_errno(err, errno, "block signals");
        *ret_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
        return *ret_fd < 0 ? err_set_errno(err, errno, "watch signals") : 0;
}

/* As many as we may have, less our own. */
static size_t descriptors_to_keep(void)
{
        struct rlimit files = {.rlim_cur = 1024};

        (void)getrlimit(RLIMIT_NOFILE, &files);
        return files.rlim_cur > OWN_FDS ? (size_t)files.rlim_cur - OWN_FDS : 0;
}

static int open_all(struct supervisor *supervisor, struct err *err)
{
        int rc;

        supervisor->keep.program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        if (supervisor->keep.program < 0)
                return err_set_errno(err, errno, "open our own program");
        /* Whatever the TCB's children leave behind, too. */
        if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
                return err_set_errno(err, errno, "take over the TCB's children");
        rc = watch_signals(&supervisor->signals, err);
        if (rc == 0)
                rc = keep_new(descriptors_to_keep(), &supervisor->keep.keep, err);
        if (rc == 0)
                rc = open_program(supervisor->request->program, &supervisor->program, err);
        return rc;
}

static void close_all(struct supervisor *supervisor)
{
        serve_free(supervisor->serve);
        spawn_kill(&supervisor->tcb);
        secret_free(supervisor->keep.key);
        keep_free(supervisor->keep.keep);
        fd_close(&supervisor->keep.program);
        fd_close(&supervisor->program);
        fd_close(&supervisor->good);
        fd_close(&supervisor->signals);
}

int supervisor_run(const struct supervisor_request *request, int *ret_status, struct err *err)
{
        static struct supervisor supervisor;
        int rc;

        supervisor = (struct supervisor){.request = request,
                                         .keep = {.program = -1},
                                         .tcb = {.pidfd = -1},
                                         .signals = -1,
                                         .good = -1,
                                         .program = -1};
        watch_init(&supervisor.watch, request->end_msec);
        supervisor.beat = request->beat_msec == 0 ? 0 : now_msec();
        rc = open_all(&supervisor, err);
        if (rc == 0)
                rc = start_tcb(&supervisor, err);
        while (rc == 0 && !supervisor.ended)
                rc = turn(&supervisor, err);
        close_all(&supervisor);
        if (rc == 0)
                *ret_status = supervisor.status;
        return rc;
}
