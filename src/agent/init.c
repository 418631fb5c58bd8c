#include "agent/init.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/list.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/spawn.h"

#define PROGRAM_TIMEOUT_MSEC 60000 /* emulated processors are slow */

static const struct {
        const char *type;
        const char *target;
        unsigned long flags;
} mounts[] = {
    {"proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC},
    {"sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC},
    {"devtmpfs", "/dev", MS_NOSUID},
    {"securityfs", "/sys/kernel/security", MS_NOSUID | MS_NODEV | MS_NOEXEC},
};

/* The kernel gives no descriptors to an init whose image lacks /dev/console. */
static void open_console(void)
{
        int fd;

        if (fcntl(STDERR_FILENO, F_GETFD) >= 0)
                return;
        do
                fd = open("/dev/console", O_RDWR | O_NOCTTY);
        while (fd >= 0 && fd < STDERR_FILENO);
}

int init_mount(struct err *err)
{
        for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
                (void)mkdir(mounts[i].target,
                            0755); /* there already, or mount says what is wrong */
                if (mount(mounts[i].type, mounts[i].target, mounts[i].type, mounts[i].flags, NULL) <
                        0 &&
                    errno != EBUSY)
                        return err_set_errno(err, errno, "mount %s", mounts[i].target);
        }
        open_console();
        return 0;
}

static int load_module(const char *path, struct err *err)
{
        int AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0)
                return err_set_errno(err, errno, "%s", path);
        if (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST)
                return err_set_errno(err, errno, "load %s", path);
        return 0;
}

int init_load_modules(const char *list_path, struct err *err)
{
        struct list AUTO_LIST list = {0};

        if (list_read(list_path, &list, err) != 0)
                return err->code;
        for (size_t i = 0; i < list.n; i++) {
                struct err cause = {0};

                if (load_module(list.paths[i], &cause) != 0)
                        log_warning((&(struct log_fields){.op = "module", .err = &cause}),
                                    "AGENT-MODULE-FAILED");
        }
        return 0;
}

static int run_program(const char *path, struct err *err)
{
        const char *const argv[] = {path, NULL};
        const char *const env[] = {"PATH=/bin:/usr/bin", NULL};
        const struct spawn_request request = {.path = path, .argv = argv, .env = env};
        struct spawn_child child = {.pidfd = -1};
        int status = 0;

        if (spawn_start(&request, &child, err) != 0)
                return err->code;
        if (spawn_wait(&child, PROGRAM_TIMEOUT_MSEC, &status, err) != 0) {
                spawn_kill(&child);
                return err_wrap(err, "%s", path);
        }
        return 0;
}

int init_run_programs(const char *list_path, struct err *err)
{
        struct list AUTO_LIST list = {0};

        if (list_read(list_path, &list, err) != 0)
                return err->code;
        for (size_t i = 0; i < list.n; i++) {
                struct err cause = {0};

                if (run_program(list.paths[i], &cause) != 0)
                        log_warning((&(struct log_fields){.op = "program", .err = &cause}),
                                    "AGENT-PROGRAM-FAILED");
        }
        return 0;
}

void init_reap_children(void)
{
        const struct sigaction ignore = {.sa_handler = SIG_IGN};

        (void)sigaction(SIGCHLD, &ignore, NULL);
        while (waitpid(-1, NULL, WNOHANG) > 0)
                continue; /* those that ended before */
}

void init_power_off(void)
{
        sync();
        (void)reboot(RB_POWER_OFF);
}
