#include "tcb/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "tcb/accel-note.h"
#include "vmm/launch.h"

#define OVMF_VARS_MAX (4U << 20)
#define QEMU_END_MSEC 1000 /* for a killed one to be gone; other guests wait meanwhile */

/* Descriptors ------------------------------------------------------------------------------ */

/* Images lie in one directory; a name cannot lead out of it. */
static int open_image(struct tcb *tcb, const char *image, struct err *err)
{
        struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
                               .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
        int AUTO_FD fd = (int)syscall(SYS_openat2, tcb->images, image, &how, sizeof(how));
        struct stat st;

        if (fd < 0) {
                (void)err_set_errno(err, errno, "image %s", image);
                (void)err_hint(err, "images lie in %s/images", tcb->config.state);
                return -1;
        }
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
                (void)err_set(err, ERR_USAGE, "image %s is not a file", image);
                return -1;
        }
        return TAKE_FD(fd);
}

int vm_check_image(struct tcb *tcb, const char *image, struct err *err)
{
        int AUTO_FD fd = open_image(tcb, image, err);

        return fd < 0 ? err->code : 0;
}

static int open_file(const char *path, int flags, struct err *err)
{
        int fd = open(path, flags | O_CLOEXEC, 0600);

        if (fd < 0)
                (void)err_set_errno(err, errno, "open %s", path);
        return fd;
}

/* UEFI variables start from the template each time: a memory file of this boot's own. */
static int make_vars(struct vm *vm, struct err *err)
{
        uint8_t AUTO_FREE *data = NULL;
        int AUTO_FD fd = -1;
        size_t len;

        if (fs_read_file(vm->tcb->config.ovmf_vars, OVMF_VARS_MAX, &data, &len, err) != 0)
                return -1;
        fd = memfd_create("uefi-variables", MFD_CLOEXEC);
        if (fd < 0) {
                (void)err_set_errno(err, errno, "make UEFI variables");
                return -1;
        }
        return fd_write_all(fd, data, len, err) != 0 ? -1 : TAKE_FD(fd);
}

/* STATE/log/NAME.serial or NAME.qemu. */
static int open_log(struct vm *vm, const char *kind, int flags, struct err *err)
{
        char name[TCB_NAME_MAX + 16];
        char path[PATH_MAX];

        (void)snprintf(name, sizeof(name), "log/%s.%s", vm->config.name, kind);
        if (tcb_config_path(&vm->tcb->config, name, path, err) != 0)
                return -1;
        return open_file(path, flags | O_NOFOLLOW | O_NONBLOCK, err);
}

int guest_open_console(struct vm *vm, int *ret_fd, struct err *err)
{
        *ret_fd = open_log(vm, "serial", O_RDONLY, err);
        return *ret_fd < 0 ? err->code : 0;
}

static int open_files(struct vm *vm, int fds[VMM_FD_COUNT], struct err *err)
{
        if (measure_open(vm->tcb->config.ovmf_code, vm->tcb->measurements.ovmf, &fds[VMM_FD_CODE],
                         err) != 0)
                return err->code;
        fds[VMM_FD_VARS] = make_vars(vm, err);
        if (fds[VMM_FD_VARS] < 0)
                return err->code;
        fds[VMM_FD_DISK] = open_image(vm->tcb, vm->image, err);
        if (fds[VMM_FD_DISK] < 0)
                return err->code;
        if (vmm_memory_create(vm->config.memory_mib, &fds[VMM_FD_MEMORY], err) != 0)
                return err->code;
        fds[VMM_FD_SERIAL] = open_log(vm, "serial", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, err);
        return fds[VMM_FD_SERIAL] < 0 ? err->code : 0;
}

int guest_make_control(struct vm *vm, int *ret_engine_end, struct err *err)
{
        int pair[2];

        fd_close(&vm->control);
        if (fd_socketpair(SOCK_STREAM, pair, err) != 0)
                return err->code;
        vm->control = pair[0];
        *ret_engine_end = pair[1];
        return 0;
}

/* QMP -------------------------------------------------------------------------------------- */

static void on_qmp_event(void *context, enum qmp_event event, const char *text)
{
        struct vm *vm = context;
        struct err err = {0};

        (void)text;
        if (event == QMP_EVENT_SHUTDOWN)
                log_debug((&(struct log_fields){.vm = vm->config.name}), "guest powers off");
        /* Before the guest runs again: what its agent left half said must not meet the next one. */
        if (event == QMP_EVENT_RESET && vm->agent != NULL)
                agent_link_reset(vm->agent);
        /* The event does not say why: KVM's internal error stops the machine, and so may we. */
        if (event == QMP_EVENT_STOP && qmp_execute(vm->qmp, QMP_QUERY_STATUS, &err) != 0)
                log_warning((&(struct log_fields){.vm = vm->config.name, .err = &err}), "QMP");
}

/* Such a machine stays up and does nothing; its end comes through the pidfd as any other. */
static void on_qmp_reply(void *context, enum qmp_command command, bool ok, const char *text)
{
        struct vm *vm = context;

        if (command != QMP_QUERY_STATUS || !ok || strcmp(text, "internal-error") != 0)
                return;
        log_warning((&(struct log_fields){.vm = vm->config.name}), "QEMU: internal error");
        (void)kill(vm->qemu.pid, SIGKILL);
}

static const struct qmp_handlers qmp_handlers = {.event = on_qmp_event, .reply = on_qmp_reply};

static int on_qmp_io(sd_event_source *source, int fd, uint32_t revents, void *user)
{
        struct vm *vm = user;
        struct err err = {0};

        (void)fd;
        (void)revents;
        if (qmp_process(vm->qmp, &err) != 0) {
                /* The end of QEMU itself comes through its pidfd, with its status. */
                (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
                return 0;
        }
        (void)sd_event_source_set_io_events(source, (uint32_t)qmp_events(vm->qmp));
        return 0;
}

/* QEMU --------------------------------------------------------------------------------------- */

static void describe_end(int status, char *ret_words, size_t size)
{
        if (WIFSIGNALED(status))
                (void)snprintf(ret_words, size, "QEMU was killed by signal %d", WTERMSIG(status));
        else if (WEXITSTATUS(status) != 0)
                (void)snprintf(ret_words, size, "QEMU failed with status %d", WEXITSTATUS(status));
        else
                (void)snprintf(ret_words, size, "the guest powered off");
}

static void end_of_qemu(struct vm *vm, int status, const char *words)
{
        if (vm->sm.state == VM_BOOTING && status != 0) {
                struct accel_output output = accel_feed(&vm->accel, ACCEL_IN_ENDED);

                if (output.action == ACCEL_DO_RESTART) {
                        guest_apply_accel(vm, &output);
                        return;
                }
        }
        vm_kill(vm, words);
}

static int on_qemu_ended(sd_event_source *source, int fd, uint32_t revents, void *user)
{
        struct vm *vm = user;
        struct err err = {0};
        char words[100] = "QEMU ended";
        int status = 0;

        (void)source;
        (void)fd;
        (void)revents;
        vm->qemu_source = sd_event_source_disable_unref(vm->qemu_source);
        if (spawn_wait(&vm->qemu, 0, &status, &err) == 0)
                describe_end(status, words, sizeof(words));
        end_of_qemu(vm, status, words);
        return 0;
}

/* The same from the supervisor, whose child it is. */
static void on_qemu_reaped(void *user, int status)
{
        char words[100];

        describe_end(status, words, sizeof(words));
        end_of_qemu(user, status, words);
}

static void name_of(const struct vm *vm, char ret_name[SUPERVISOR_NAME_MAX + 1])
{
        keeper_name("qemu", vm->instance->stored.block.uuid, ret_name);
}

void guest_keep(const struct vm *vm, const struct spawn_child *qemu)
{
        const int fds[] = {qemu->pidfd, qmp_fd(vm->qmp), agent_link_fd(vm->agent)};
        const struct kept_qemu kept = {
            .pid = (uint32_t)qemu->pid,
            .accelerator = (uint8_t)vm->accelerator,
            .settled = vm->accelerator == VMM_ACCEL_TCG || vm->measured,
        };
        char name[SUPERVISOR_NAME_MAX + 1];

        name_of(vm, name);
        keeper_put(vm->tcb->keeper, name, kept_qemu_code, &kept, fds);
}

/* Before QEMU runs: should we die, the next TCB knows of it. */
static int on_qemu_announced(void *user, const struct spawn_child *child, struct err *err)
{
        const struct vm *vm = user;

        (void)err;
        guest_keep(vm, child);
        return 0;
}

static int watch_qemu(struct vm *vm, struct err *err)
{
        int rc;

        if (vm->tcb->keeper != NULL)
                return keeper_watch(vm->tcb->keeper, vm->qemu.pid, on_qemu_reaped, vm, err);
        rc = sd_event_add_io(vm->tcb->event, &vm->qemu_source, vm->qemu.pidfd, EPOLLIN,
                             on_qemu_ended, vm);
        return rc < 0 ? err_set_errno(err, -rc, "watch QEMU") : 0;
}

static void on_agent_hello(void *user, const char *version)
{
        struct vm *vm = user;

        if (vm->sm.state == VM_BOOTING) {
                log_info((&(struct log_fields){.vm = vm->config.name}), "agent %s answers",
                         version);
                sm_move(&vm->sm, VM_RUNNING);
        }
        if (vm->starter != NULL)
                request_done(TAKE(vm->starter));
}

/* A reset guest comes back with another hello; QEMU keeps the channel. */
static void on_agent_closed(void *user, const struct err *err)
{
        struct vm *vm = user;

        log_debug((&(struct log_fields){.vm = vm->config.name, .err = err}),
                  "agent channel closed");
        if (vm->sm.state == VM_RUNNING)
                sm_move(&vm->sm, VM_BOOTING);
}

static const struct agent_link_ops agent_ops = {on_agent_hello, on_agent_closed};

static int watch_qmp(struct vm *vm, struct err *err)
{
        int rc = sd_event_add_io(vm->tcb->event, &vm->qmp_source, qmp_fd(vm->qmp),
                                 (uint32_t)qmp_events(vm->qmp), on_qmp_io, vm);

        return rc < 0 ? err_set_errno(err, -rc, "watch QMP") : 0;
}

static int make_channels(struct vm *vm, int fds[VMM_FD_COUNT], struct err *err)
{
        int agent[2];
        int qmp[2];

        fds[VMM_FD_TPM] = TAKE_FD(vm->control);
        if (fd_socketpair(SOCK_STREAM, agent, err) != 0)
                return err->code;
        fds[VMM_FD_AGENT] = agent[1];
        if (agent_link_new(vm->tcb->event, agent[0], &agent_ops, vm, &vm->agent, err) != 0 ||
            fd_socketpair(SOCK_STREAM, qmp, err) != 0)
                return err->code;
        fds[VMM_FD_QMP] = qmp[1];
        if (qmp_new(qmp[0], &qmp_handlers, vm, &vm->qmp, err) != 0)
                return err->code;
        return watch_qmp(vm, err);
}

static int start_qemu(struct vm *vm, const struct vmm_launch *launch, struct err *err)
{
        uint8_t digest[VMM_DIGEST_LEN];

        if (vmm_launch(launch, &vm->qemu, digest, err) != 0)
                return err->code;
        cgroups_add(&vm->tcb->cgroups, CGROUP_GUESTS, vm->qemu.pid);
        (void)snprintf(vm->tcb->qemu_degraded, sizeof(vm->tcb->qemu_degraded), "%s",
                       vm->qemu.degraded == 0 ? "" : vm->qemu.words);
        if (vm->qemu.degraded != 0)
                log_warning((&(struct log_fields){.vm = vm->config.name}), "QEMU's sandbox: %s",
                            vm->qemu.words);
        return watch_qemu(vm, err);
}

static bool has_ended(int pidfd)
{
        struct pollfd polled = {.fd = pidfd, .events = POLLIN};

        return poll(&polled, 1, 0) != 0;
}

/* Takes the descriptors. */
static int adopt_channels(struct vm *vm, struct keeper_left *left, struct err *err)
{
        int rc = qmp_new(TAKE_FD(left->fds[1]), &qmp_handlers, vm, &vm->qmp, err);

        if (rc != 0)
                return rc;
        qmp_resume(vm->qmp);
        rc = watch_qmp(vm, err);
        return rc != 0 ? rc
                       : agent_link_adopt(vm->tcb->event, TAKE_FD(left->fds[2]), &agent_ops, vm,
                                          &vm->agent, err);
}

int guest_adopt(struct vm *vm, struct err *err)
{
        struct keeper_left AUTO_LEFT *left = NULL;
        char name[SUPERVISOR_NAME_MAX + 1];
        struct kept_qemu kept;
        int rc;

        name_of(vm, name);
        left = keeper_take(vm->tcb->keeper, name);
        if (left == NULL)
                return err_set(err, ERR_NOT_FOUND, "its start was cut short");
        rc = keeper_left_decode(left, kept_qemu_code, &kept, sizeof(kept), err);
        if (rc != 0)
                return rc;
        vm->qemu = (struct spawn_child){.pid = (pid_t)kept.pid, .sibling = true};
        vm->qemu.pidfd = TAKE_FD(left->fds[0]);
        if (has_ended(vm->qemu.pidfd))
                return err_set(err, ERR_NOT_FOUND, "QEMU ended while no trusted core served");
        if (kept.settled == 0)
                return err_set(err, ERR_NOT_FOUND, "its start was cut short");
        vm->accelerator = kept.accelerator == VMM_ACCEL_KVM ? VMM_ACCEL_KVM : VMM_ACCEL_TCG;
        vm->measured = true;
        /* Settled, whichever it is. */
        (void)accel_start(&vm->accel, ACCEL_TCG, ACCEL_UNKNOWN, false);
        rc = adopt_channels(vm, left, err);
        return rc != 0 ? rc : watch_qemu(vm, err);
}

int guest_launch(struct vm *vm, struct err *err)
{
        const bool supervised = vm->tcb->keeper != NULL;
        struct vmm_launch launch = {.qemu = vm->tcb->config.qemu,
                                    .sibling = supervised,
                                    .announce = supervised ? on_qemu_announced : NULL,
                                    .user = vm,
                                    .config = &vm->config,
                                    .accel = vm->accelerator,
                                    .uid = vm->instance->uid};
        int AUTO_FD log = open_log(vm, "qemu", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, err);
        int AUTO_FD qemu = -1;
        int rc;

        if (log < 0 ||
            measure_open(vm->tcb->config.qemu, vm->tcb->measurements.qemu, &qemu, err) != 0)
                return err->code;
        launch.log = log;
        launch.program = &qemu;

        for (size_t i = 0; i < VMM_FD_COUNT; i++)
                launch.fds[i] = -1;
        rc = open_files(vm, launch.fds, err);
        if (rc == 0)
                rc = make_channels(vm, launch.fds, err);
        if (rc == 0)
                rc = start_qemu(vm, &launch, err);
        for (size_t i = 0; i < VMM_FD_COUNT; i++)
                fd_close(&launch.fds[i]);
        return rc;
}

bool guest_has_left(struct vm *vm)
{
        struct err ignored = {0};
        int status;

        if (vm->leaving.pid > 0 && spawn_wait(&vm->leaving, 0, &status, &ignored) == ERR_TIMEOUT)
                return false;
        fd_close(&vm->leaving.pidfd);
        vm->leaving.pid = 0;
        return true;
}

static void end_qemu(struct vm *vm)
{
        if (vm->qemu.pid <= 0 || spawn_end(&vm->qemu, QEMU_END_MSEC)) {
                fd_close(&vm->qemu.pidfd);
                vm->qemu.pid = 0;
                return;
        }
        log_warning((&(struct log_fields){.vm = vm->config.name}),
                    "QEMU was killed and has not ended yet; it cannot be started until it has");
        vm->leaving = vm->qemu;
        vm->qemu = (struct spawn_child){.pidfd = -1};
}

void guest_end(struct vm *vm)
{
        char name[SUPERVISOR_NAME_MAX + 1];

        keeper_unwatch(vm->tcb->keeper, vm->qemu.pid);
        vm->qemu_source = sd_event_source_disable_unref(vm->qemu_source);
        vm->qmp_source = sd_event_source_disable_unref(vm->qmp_source);
        vm->timer = sd_event_source_disable_unref(vm->timer);
        vm->restart = sd_event_source_disable_unref(vm->restart);
        qmp_free(TAKE(vm->qmp));
        agent_link_free(TAKE(vm->agent));
        end_qemu(vm);
        name_of(vm, name);
        keeper_drop(vm->tcb->keeper, name);
        fd_close(&vm->control);
}

/* The accelerator ----------------------------------------------------------------------------- */

static int on_probe_timer(sd_event_source *source, uint64_t usec, void *user)
{
        (void)source;
        (void)usec;
        guest_feed_accel(user, ACCEL_IN_TIMER);
        return 0;
}

/* Engine and QEMU start afresh, outside of whatever callback found out. */
static int on_restart(sd_event_source *source, void *user)
{
        struct vm *vm = user;
        struct err err = {0};

        (void)source;
        if (vm->sm.state == VM_STOPPING) {
                vm_kill(vm, "stopped");
                return 0;
        }
        if (vm->sm.state == VM_RUNNING)
                sm_move(&vm->sm, VM_BOOTING); /* something said hello before the firmware ran */
        guest_end(vm);
        instance_stop(vm->instance);
        if (vm_start_engine(vm, &err) != 0)
                vm_kill(vm, err.text);
        return 0;
}

void guest_apply_accel(struct vm *vm, const struct accel_output *output)
{
        int rc = 0;

        if (output->memory != ACCEL_UNKNOWN)
                accel_note_put(&vm->tcb->config, vm->tcb->accel_memory = output->memory);
        if (output->reason != NULL) {
                log_warning((&(struct log_fields){.vm = vm->config.name}), "%s", output->reason);
                if (vm->starter != NULL)
                        request_progress(vm->starter, output->reason);
        }
        vm->timer = sd_event_source_disable_unref(vm->timer);
        if (output->timer_ms > 0)
                rc = sd_event_add_time_relative(vm->tcb->event, &vm->timer, CLOCK_MONOTONIC,
                                                (uint64_t)output->timer_ms * 1000, 0,
                                                on_probe_timer, vm);
        if (output->action == ACCEL_DO_LAUNCH || output->action == ACCEL_DO_RESTART)
                vm->accelerator = output->accel;
        if (rc >= 0 && output->action == ACCEL_DO_RESTART)
                rc = sd_event_add_defer(vm->tcb->event, &vm->restart, on_restart, vm);
        if (output->action == ACCEL_DO_FAIL || rc < 0)
                vm_kill(vm, output->reason == NULL ? "no timer" : output->reason);
}

void guest_feed_accel(struct vm *vm, enum accel_input input)
{
        struct accel_output output = accel_feed(&vm->accel, input);

        guest_apply_accel(vm, &output);
}

struct accel_output guest_choose_accel(struct vm *vm)
{
        enum accel_choice choice = ACCEL_AUTO;
        struct accel_output output;

        (void)accel_choice_from_name(vm->tcb->config.accel, &choice);
        output = accel_start(&vm->accel, choice, vm->tcb->accel_memory, vmm_kvm_usable());
        if (output.action == ACCEL_DO_LAUNCH)
                guest_apply_accel(vm, &output);
        return output;
}
