#include "swtpm/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"

static void wait_and_end(int pipe)
{
        char byte = 0;
        ssize_t k;

        do {
                k = read(pipe, &byte, 1);
        } while (k < 0 && errno == EINTR);
        /* The child has said why, if it has failed. Nothing of ours must be cleaned up here. */
        _exit(k == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
}

int daemon_fork(struct daemon *ret_daemon, struct err *err)
{
        int ends[2];
        pid_t pid;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return err_set_errno(err, errno, "pipe");
        pid = fork();
        if (pid < 0)
                return err_set_errno(err, errno, "fork");
        if (pid > 0) {
                (void)close(ends[1]);
                wait_and_end(ends[0]);
        }
        (void)close(ends[0]);
        ret_daemon->pipe = ends[1];
        return setsid() < 0 ? err_set_errno(err, errno, "setsid") : 0;
}

/* Whoever started us may wait for the end of our output: standard channels go. */
int daemon_ready(struct daemon *daemon, bool keep_words, struct err *err)
{
        int AUTO_FD null = -1;
        int rc;

        if (daemon->pipe < 0)
                return 0;
        null = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
                return err_set_errno(err, errno, "/dev/null");
        if (!keep_words && dup2(null, STDERR_FILENO) < 0)
                return err_set_errno(err, errno, "/dev/null");
        rc = fd_write_all(daemon->pipe, "", 1, err);
        fd_close(&daemon->pipe);
        return rc;
}

int daemon_write_pid(const struct command_socket *options, struct err *err)
{
        char text[32];
        const int len = snprintf(text, sizeof(text), "%d\n", (int)getpid());

        if (options->pid.fd >= 0)
                return fd_write_all(options->pid.fd, text, (size_t)len, err);
        if (options->pid.file[0] == '\0')
                return 0;
        return fs_write_file(options->pid.file, text, (size_t)len, 0644, err);
}

void daemon_remove_pid(const struct command_socket *options)
{
        if (options->pid.file[0] != '\0')
                (void)unlink(options->pid.file);
}
