#include "swtpm/starter.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "swtpm/beside.h"

#define ENGINE_NAME "catena-vtpm"
#define UID_BASE    0x70000000U /* of engines where we are root: ids that nobody gives away */
#define UID_NOBODY  65534       /* where those cannot be had */

struct starter {
        pid_t pid;
        int fd;
};

/* The answer to a pair of descriptors; both ends are this program. */
struct answer {
        struct err err;
        char words[SPAWN_WORDS_MAX];
};

/* One of its own for each engine, as long as its process lives: ours tells them apart. */
static uid_t engine_uid(void)
{
        const uid_t own = UID_BASE + (uid_t)getpid();

        return spawn_may_become(own) ? own : UID_NOBODY;
}

int starter_run_engine(int core, int control, struct vmm_engine *ret_engine, struct err *err)
{
        char path[PATH_MAX];
        int rc = beside_path(ENGINE_NAME, path, err);

        return rc != 0 ? rc : vmm_engine_start(path, engine_uid(), core, control, ret_engine, err);
}

static bool serve_one(int fd, struct vmm_engine *engine)
{
        struct answer answer = {.words = ""};
        int fds[FD_PASS_MAX];
        size_t n_fds = 0;
        uint8_t byte;

        if (fd_receive(fd, &byte, sizeof(byte), fds, &n_fds) <= 0)
                return false;
        vmm_engine_kill(engine);
        if (n_fds != 2)
                (void)err_set(&answer.err, ERR_MALFORMED, "an engine takes two sockets");
        else if (starter_run_engine(fds[0], fds[1], engine, &answer.err) == 0)
                memcpy(answer.words, engine->child.words, sizeof(answer.words));
        for (size_t i = 0; i < n_fds; i++)
                fd_close(&fds[i]);
        return send(fd, &answer, sizeof(answer), MSG_NOSIGNAL) == (ssize_t)sizeof(answer);
}

/* The server's end, even a sudden one, closes the socket. */
static _Noreturn void run(int fd)
{
        struct vmm_engine engine = {.child = {.pid = 0, .pidfd = -1}};
        struct err err = {0};

        if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 ||
            fd_close_all_but(STDERR_FILENO + 1, &fd, 1, &err) != 0)
                _exit(EXIT_FAILURE);
        while (serve_one(fd, &engine))
                continue;
        vmm_engine_kill(&engine);
        _exit(EXIT_SUCCESS);
}

int starter_new(struct starter **ret_starter, struct err *err)
{
        struct starter *starter = calloc(1, sizeof(*starter));
        int pair[2] = {-1, -1};
        int rc;

        if (starter == NULL)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
        rc = fd_socketpair(SOCK_SEQPACKET, pair, err);
        if (rc == 0) {
                starter->pid = fork();
                if (starter->pid < 0)
                        rc = err_set_errno(err, errno, "fork");
        }
        if (rc == 0 && starter->pid == 0)
                run(pair[1]);
        fd_close(&pair[1]);
        starter->fd = pair[0];
        if (rc != 0) {
                fd_close(&starter->fd);
                free(starter);
                return rc;
        }
        *ret_starter = starter;
        return 0;
}

void starter_free(struct starter *starter)
{
        if (starter == NULL)
                return;
        fd_close(&starter->fd);
        (void)waitpid(starter->pid, NULL, 0);
        free(starter);
}

int starter_start(struct starter *starter, int core, int control, char ret_words[SPAWN_WORDS_MAX],
                  struct err *err)
{
        const int fds[] = {core, control};
        struct answer answer;

        if (fd_send(starter->fd, "", 1, fds, ARRAY_SIZE(fds)) != 1 ||
            recv(starter->fd, &answer, sizeof(answer), 0) != (ssize_t)sizeof(answer))
                return err_set(err, ERR_UNREACHABLE, "the process that starts engines is gone");
        if (answer.err.code != 0) {
                *err = answer.err;
                return err->code;
        }
        memcpy(ret_words, answer.words, sizeof(answer.words));
        return 0;
}
