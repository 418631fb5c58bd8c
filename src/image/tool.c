#include "image/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fs.h"

#define EXIT_NO_TOOL 127 /* what a shell says too */

static void use_fd(int fd, int as, int flags)
{
        if (fd < 0)
                fd = open("/dev/null", flags | O_CLOEXEC);
        if (fd < 0 || (fd != as && dup2(fd, as) < 0))
                _exit(EXIT_NO_TOOL);
        if (fd == as)
                (void)fcntl(fd, F_SETFD, 0);
}

/* After fork(): only calls that are safe there, then exec. */
__attribute__((noreturn)) static void run_child(const struct tool *tool, int stderr_fd,
                                                char *const *env)
{
        use_fd(tool->stdin_fd, STDIN_FILENO, O_RDONLY);
        use_fd(tool->stdout_fd, STDOUT_FILENO, O_WRONLY);
        use_fd(stderr_fd, STDERR_FILENO, O_WRONLY);
        if (tool->dir != NULL && chdir(tool->dir) != 0)
                _exit(EXIT_NO_TOOL);
        (void)execvpe(tool->argv[0], (char *const *)(uintptr_t)tool->argv, env);
        _exit(EXIT_NO_TOOL);
}

static int start(const struct tool *tool, int stderr_fd, pid_t *ret_pid, struct err *err)
{
        char home[512];
        char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
        char locale[] = "LC_ALL=C";
        char zone[] = "TZ=UTC";
        char epoch[] = "SOURCE_DATE_EPOCH=" IMAGE_EPOCH;
        char mtools[] = "MTOOLSRC=/dev/null";
        char *env[] = {path, locale, zone, epoch, mtools, home, NULL};
        const char *user_home = getenv("HOME");
        pid_t pid;

        (void)snprintf(home, sizeof(home), "HOME=%s", user_home == NULL ? "/" : user_home);
        pid = fork();
        if (pid < 0)
                return err_set_errno(err, errno, "fork");
        if (pid == 0) {
                /* PATH decides where execvpe() looks: the system's, not the caller's. */
                if (setenv("PATH", path + strlen("PATH="), 1) != 0)
                        _exit(EXIT_NO_TOOL);
                run_child(tool, stderr_fd, env);
        }
        *ret_pid = pid;
        return 0;
}

/* The last line that is not empty, as the tool's own words. */
static const char *last_line(char *text, size_t len)
{
        char *line;

        while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
                text[--len] = '\0';
        line = strrchr(text, '\n');
        return line == NULL ? text : line + 1;
}

/* What the tool said last, put into err. */
static int report_words(const struct tool *tool, int status, int stderr_fd, struct err *err)
{
        struct err ignored = {0};
        uint8_t *words = NULL;
        size_t len = 0;
        int rc;

        rc = fs_read_fd(stderr_fd, TOOL_OUTPUT_MAX, &words, &len, &ignored);
        if (rc == 0 && len > 0)
                rc = err_set(err, ERR_FAILED, "%s: %s", tool->argv[0],
                             last_line((char *)words, len));
        else
                rc = err_set(err, ERR_FAILED, "%s: failed with status 0x%x", tool->argv[0],
                             (unsigned)status);
        free(words);
        return rc;
}

static int report(const struct tool *tool, int status, int stderr_fd, struct err *err)
{
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                return 0;
        if (WIFEXITED(status) && WEXITSTATUS(status) != EXIT_NO_TOOL && tool->may_fail)
                return 0;
        if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_TOOL) {
                (void)err_set(err, ERR_NOT_FOUND, "%s: cannot be run", tool->argv[0]);
                return err_hint(err, "install the package %s: apt-get install %s", tool->package,
                                tool->package);
        }
        if (lseek(stderr_fd, 0, SEEK_SET) != 0)
                return err_set_errno(err, errno, "%s: output", tool->argv[0]);
        return report_words(tool, status, stderr_fd, err);
}

int tool_run(const struct tool *tool, struct err *err)
{
        AUTO_FD int stderr_fd = memfd_create("stderr", MFD_CLOEXEC);
        int status = 0;
        pid_t pid;
        int rc;

        if (stderr_fd < 0)
                return err_set_errno(err, errno, "memfd_create");
        rc = start(tool, stderr_fd, &pid, err);
        if (rc < 0)
                return rc;
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return err_set_errno(err, errno, "%s: wait", tool->argv[0]);
        return report(tool, status, stderr_fd, err);
}

int tool_capture(const struct tool *tool, size_t max, uint8_t **ret_data, size_t *ret_len,
                 struct err *err)
{
        AUTO_FD int out = memfd_create("stdout", MFD_CLOEXEC);
        struct tool with_output = *tool;
        int rc;

        if (out < 0)
                return err_set_errno(err, errno, "memfd_create");
        with_output.stdout_fd = out;
        rc = tool_run(&with_output, err);
        if (rc < 0)
                return rc;
        if (lseek(out, 0, SEEK_SET) != 0)
                return err_set_errno(err, errno, "%s: output", tool->argv[0]);
        rc = fs_read_fd(out, max, ret_data, ret_len, err);
        return rc < 0 ? err_wrap(err, "output of %s", tool->argv[0]) : 0;
}
