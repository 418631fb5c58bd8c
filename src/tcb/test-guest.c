/*
 * What a QEMU can do to the TCB that started it, with a whole TCB and real engines: QEMU is this
 * program itself, started as the TCB starts QEMU, and the VM's name says what it does.
 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "tcb/guest.h"
#include "tcb/test-tcb.h"
#include "tpmwire/ek.h"
#include "vmm/launch.h"
#include "wire/agent.h"

#define P256      (1U << TPM_EK_P256)
#define LONGEST_S 60
#define TURN_USEC UINT64_C(20000)
#define GREETING  "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n"

/* QEMU's side ---------------------------------------------------------------------------------- */

static int fd_of(enum vmm_fd fd)
{
        return VMM_FD_FIRST + (int)fd;
}

static void say(enum vmm_fd fd, const char *text)
{
        if (write(fd_of(fd), text, strlen(text)) != (ssize_t)strlen(text))
                _exit(100);
}

/* Until the TCB closes; what it says is not looked at. */
static void listen_for_ever(void)
{
        char text[256];

        while (read(fd_of(VMM_FD_QMP), text, sizeof(text)) > 0)
                continue;
        _exit(101);
}

/* Answers the next command, by its number. */
static void answer(const char *value)
{
        char text[256];
        char said[512];
        ssize_t n = read(fd_of(VMM_FD_QMP), text, sizeof(text) - 1);
        const char *id;

        if (n <= 0)
                _exit(102);
        text[n] = '\0';
        id = strstr(text, "\"id\":");
        if (id == NULL)
                _exit(103);
        (void)snprintf(said, sizeof(said), "{\"id\": %llu, \"return\": %s}\r\n",
                       strtoull(id + 5, NULL, 10), value);
        say(VMM_FD_QMP, said);
}

static void greet(void)
{
        say(VMM_FD_QMP, GREETING);
        answer("{}");
}

static void power_off(void)
{
        greet();
        _exit(0);
}

static void end_badly(void)
{
        _exit(3);
}

static void be_killed(void)
{
        greet();
        (void)kill(getpid(), SIGKILL);
}

static void talk_nonsense(void)
{
        say(VMM_FD_QMP, "GET / HTTP/1.1\r\n\r\n");
        listen_for_ever();
}

static void say_half(void)
{
        say(VMM_FD_QMP, "{\"QMP\": {\"ver");
        listen_for_ever();
}

/* Longer than any line may be. */
static void never_end_a_line(void)
{
        while (send(fd_of(VMM_FD_QMP), "                ", 16, MSG_NOSIGNAL) > 0)
                continue;
        listen_for_ever();
}

static void close_qmp(void)
{
        (void)shutdown(fd_of(VMM_FD_QMP), SHUT_RDWR);
        (void)pause();
}

static void have_an_internal_error(void)
{
        greet();
        say(VMM_FD_QMP, "{\"event\": \"STOP\", \"timestamp\": {}}\r\n");
        answer("{\"status\": \"internal-error\", \"running\": false}");
        listen_for_ever();
}

static void say_hello(void)
{
        struct wire_link *link = NULL;
        struct agent_hello hello = {.version = wire_text("0.0.1")};
        struct err err = {0};
        struct wire_frame frame;

        greet();
        if (wire_link_new(fd_of(VMM_FD_AGENT), &wire_agent_protocol, WIRE_SERVER, &link, &err) !=
                0 ||
            wire_link_send(link, agent_hello_code, 0, 0, &hello, NULL, &err) != 0)
                _exit(104);
        /* Asked to power off it does; whatever else comes it does not answer. */
        while (wire_link_receive(link, &frame, &err) == 0)
                if (frame.message->code == agent_poweroff_code)
                        _exit(0);
        _exit(105);
}

static void have_a_wrong_agent(void)
{
        greet();
        say(VMM_FD_AGENT, "SSH-2.0-OpenSSH_9.2\r\n");
        listen_for_ever();
}

/* What it was given, and nothing else; the rest of the script is the status. */
static void count_descriptors(void)
{
        int status = 0;

        for (int fd = 3; fd < 256; fd++) {
                const bool ours = fd >= VMM_FD_FIRST && fd < fd_of(VMM_FD_COUNT);

                if ((fcntl(fd, F_GETFD) >= 0) != ours)
                        status = fd;
        }
        greet();
        _exit(status);
}

static const struct {
        const char *name;
        void (*play)(void);
} scripts[] = {
    {"off", power_off},
    {"fails", end_badly},
    {"killed", be_killed},
    {"nonsense", talk_nonsense},
    {"half", say_half},
    {"endless", never_end_a_line},
    {"closes", close_qmp},
    {"internal", have_an_internal_error},
    {"agent", say_hello},
    {"stranger", have_a_wrong_agent},
    {"counts", count_descriptors},
};

static int play(int argc, char **argv)
{
        for (int i = 1; i < argc; i++)
                for (size_t k = 0; k < ARRAY_SIZE(scripts); k++)
                        if (strncmp(argv[i], "guest=", 6) == 0 &&
                            strcmp(argv[i] + 6, scripts[k].name) == 0)
                                scripts[k].play();
        return 99;
}

/* The administrator's requests: how they ended instead of answers ------------------------------ */

struct outcome {
        bool done;
        bool failed;
        char text[ERR_TEXT_MAX];
        unsigned steps;
};

void __wrap_request_progress(struct request *request, const char *text);
void __wrap_request_done(struct request *request);
void __wrap_request_fail(struct request *request, const struct err *err);

void __wrap_request_progress(struct request *request, const char *text)
{
        (void)text;
        ((struct outcome *)(void *)request)->steps++;
}

void __wrap_request_done(struct request *request)
{
        ((struct outcome *)(void *)request)->done = true;
}

void __wrap_request_fail(struct request *request, const struct err *err)
{
        struct outcome *outcome = (void *)request;

        outcome->done = outcome->failed = true;
        (void)snprintf(outcome->text, sizeof(outcome->text), "%s", err->text);
}

/* The tests ------------------------------------------------------------------------------------ */

static struct tcb *tcb;

static void make_file(const char *name, const char *text)
{
        char path[PATH_MAX];
        struct err err = {0};

        (void)snprintf(path, sizeof(path), "%s/%s", test_dir(), name);
        assert_ok(fs_write_file(path, text, strlen(text), 0600, &err), &err);
}

static int set_up(void **state)
{
        (void)state;
        tcb = test_tcb_open(0);
        make_file("images/guest.img", "an image");
        make_file("vars", "UEFI variables");
        (void)snprintf(tcb->config.accel, sizeof(tcb->config.accel), "tcg");
        (void)snprintf(tcb->config.ovmf_vars, sizeof(tcb->config.ovmf_vars), "%s/vars", test_dir());
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        tcb_close(tcb);
        return 0;
}

static void on_stored(void *user, uint64_t value)
{
        (void)value;
        *(bool *)user = true;
}

static struct vm *make(const char *name, const char *image)
{
        struct vm_request request = {
            .config = {.memory_mib = 64, .cpus = 1, .disk_read_only = true}};
        struct err err = {0};
        struct vm *vm = NULL;
        bool done = false;

        request.instance = test_tcb_create(tcb, name, P256, &err);
        assert_ok(err.code, &err);
        (void)snprintf(request.config.name, sizeof(request.config.name), "%s", name);
        memcpy(request.config.uuid, request.instance->stored.block.uuid,
               sizeof(request.config.uuid));
        (void)snprintf(request.image, sizeof(request.image), "%s", image);
        assert_ok(vm_create(tcb, &request, on_stored, &done, &vm, &err), &err);
        test_tcb_run(tcb, &done);
        return vm;
}

static void start(struct vm *vm, struct outcome *outcome)
{
        struct err err = {0};

        *outcome = (struct outcome){.done = false};
        assert_ok(vm_start(vm, (struct request *)(void *)outcome, &err), &err);
}

static void await_state(const struct vm *vm, enum vm_state wanted)
{
        const time_t began = time(NULL);

        while (vm->sm.state != (unsigned)wanted) {
                assert_true(sd_event_run(tcb->event, TURN_USEC) >= 0);
                if (time(NULL) - began > LONGEST_S)
                        fail_msg("%s is %s: %s", vm->config.name, vm_state_name(vm), vm->reason);
        }
}

static void is_off(const struct vm *vm, const char *reason)
{
        if (strstr(vm->reason, reason) == NULL)
                fail_msg("%s: %s", vm->config.name, vm->reason);
        assert_int_equal(vm->qemu.pid, 0);
        assert_null(vm->qmp);
        assert_null(vm->agent);
        assert_int_equal(vm->control, -1);
        assert_int_equal(vm->instance->sm.state, INSTANCE_IDLE);
}

/* However QEMU ends, the VM is off and says why, and whoever waits for it hears it. */
static void its_end_is_the_vms(void **state)
{
        static const struct {
                const char *name;
                const char *reason;
        } rows[] = {
            {"off", "the guest powered off"},          {"fails", "QEMU failed with status 3"},
            {"killed", "QEMU was killed by signal 9"}, {"internal", "QEMU was killed by signal 9"},
            {"counts", "the guest powered off"},
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct vm *vm = make(rows[i].name, "guest.img");
                struct outcome outcome;

                for (int again = 0; again < 2; again++) {
                        start(vm, &outcome);
                        await_state(vm, VM_OFF);
                        is_off(vm, rows[i].reason);
                        assert_true(outcome.done && outcome.failed);
                        assert_non_null(strstr(outcome.text, rows[i].reason));
                        assert_true(outcome.steps >= 1);
                }
        }
}

/* G-GUEST's neighbours: what comes from QEMU is hostile. It goes on as it is, and can be stopped.
 */
static void what_it_says_does_no_harm(void **state)
{
        static const char *const names[] = {"nonsense", "half", "endless", "closes", "stranger"};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                struct vm *vm = make(names[i], "guest.img");
                struct outcome outcome;
                struct outcome stopped = {.done = false};
                struct err err = {0};

                start(vm, &outcome);
                await_state(vm, VM_BOOTING);
                for (int turn = 0; turn < 10; turn++)
                        assert_true(sd_event_run(tcb->event, TURN_USEC) >= 0);
                if (vm->sm.state != VM_BOOTING)
                        fail_msg("%s: %s: %s", names[i], vm_state_name(vm), vm->reason);
                assert_ok(vm_stop(vm, false, (struct request *)(void *)&stopped, &err), &err);
                is_off(vm, "stopped before its agent answered");
                assert_true(stopped.done && !stopped.failed);
                assert_true(outcome.done && outcome.failed);
        }
}

static void an_agent_makes_it_run(void **state)
{
        struct vm *vm = make("agent", "guest.img");
        struct outcome outcome;
        struct outcome stopped = {.done = false};
        struct err err = {0};

        (void)state;
        start(vm, &outcome);
        await_state(vm, VM_RUNNING);
        assert_true(outcome.done && !outcome.failed);
        assert_int_equal(vm_start(vm, NULL, &err), ERR_CONFLICT);
        assert_ok(vm_stop(vm, false, (struct request *)(void *)&stopped, &err), &err);
        await_state(vm, VM_OFF);
        is_off(vm, "the guest powered off");
        assert_true(stopped.done && !stopped.failed);
}

static void its_engine_takes_it_along(void **state)
{
        struct vm *vm = make("half-engine", "guest.img");
        struct outcome outcome;
        pid_t qemu;

        (void)state;
        (void)snprintf(vm->config.name, sizeof(vm->config.name), "half");
        start(vm, &outcome);
        await_state(vm, VM_BOOTING);
        qemu = vm->qemu.pid;
        assert_true(qemu > 0);
        assert_int_equal(kill(engine_host_pid(vm->instance->engine), SIGKILL), 0);
        await_state(vm, VM_OFF);
        is_off(vm, "its vTPM died");
        assert_int_equal(kill(qemu, 0), -1);
}

/* One that waits for a device as it is killed: its tracer, we, holds it as it ends. */
static void one_that_does_not_end_holds_up_nobody(void **state)
{
        struct vm *vm = make("half-ended", "guest.img");
        struct outcome outcome;
        struct err err = {0};
        int status = 0;
        pid_t qemu;

        (void)state;
        (void)snprintf(vm->config.name, sizeof(vm->config.name), "half");
        start(vm, &outcome);
        await_state(vm, VM_BOOTING);
        qemu = vm->qemu.pid;
        if (ptrace(PTRACE_SEIZE, qemu, NULL, (void *)PTRACE_O_TRACEEXIT) < 0)
                skip();
        vm_kill(vm, "stopped");
        assert_int_equal(vm->sm.state, VM_OFF);
        is_off(vm, "stopped");
        assert_false(guest_has_left(vm));
        assert_int_equal(vm_start(vm, (struct request *)(void *)&outcome, &err), ERR_CONFLICT);
        assert_int_equal(waitpid(qemu, &status, __WALL), qemu);
        assert_int_equal(status >> 8, SIGTRAP | (PTRACE_EVENT_EXIT << 8));
        assert_int_equal(ptrace(PTRACE_CONT, qemu, NULL, NULL), 0);
        while (!guest_has_left(vm))
                assert_true(sd_event_run(tcb->event, TURN_USEC) >= 0);
        assert_int_equal(kill(qemu, 0), -1);
        start(vm, &outcome);
        await_state(vm, VM_BOOTING);
        vm_kill(vm, "stopped");
}

/* E-UUID-INJ: images lie in one directory, and are files. */
static void images_are_files_in_their_directory(void **state)
{
        static const struct {
                const char *image;
                int rc; /* 1: any error */
        } rows[] = {
            {"guest.img", 0}, {"absent.img", ERR_NOT_FOUND}, {"../vars", 1},     {"/etc/passwd", 1},
            {"link", 1},      {"fifo", ERR_USAGE},           {"dir", ERR_USAGE},
        };
        char path[PATH_MAX];

        (void)state;
        (void)snprintf(path, sizeof(path), "%s/images/link", test_dir());
        assert_int_equal(symlink("guest.img", path), 0);
        (void)snprintf(path, sizeof(path), "%s/images/fifo", test_dir());
        assert_int_equal(mkfifo(path, 0600), 0);
        (void)snprintf(path, sizeof(path), "%s/images/dir", test_dir());
        assert_int_equal(mkdir(path, 0700), 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct err err = {0};
                int rc = vm_check_image(tcb, rows[i].image, &err);

                if (rows[i].rc == 1 ? rc == 0 : rc != rows[i].rc)
                        fail_msg("%s: %d: %s", rows[i].image, rc, err.text);
        }
}

/* A console that somebody put a link in place of is not read. */
static void consoles_are_files(void **state)
{
        struct vm *vm = make("console", "guest.img");
        char path[PATH_MAX];
        struct err err = {0};
        int fd = -1;

        (void)state;
        assert_int_equal(guest_open_console(vm, &fd, &err), ERR_NOT_FOUND);
        (void)snprintf(path, sizeof(path), "%s/log/console.serial", test_dir());
        assert_int_equal(symlink("/etc/passwd", path), 0);
        assert_int_not_equal(guest_open_console(vm, &fd, &err), 0);
        assert_int_equal(unlink(path), 0);
        make_file("log/console.serial", "words");
        assert_ok(guest_open_console(vm, &fd, &err), &err);
        (void)close(fd);
}

/* D-FULL's neighbour: what QEMU needs cannot be had. The VM is off, with the reason. */
static void without_its_files_it_does_not_start(void **state)
{
        struct vm *vm = make("nothing", "guest.img");
        struct outcome outcome;

        (void)state;
        (void)snprintf(tcb->config.ovmf_vars, sizeof(tcb->config.ovmf_vars), "/nonexistent");
        start(vm, &outcome);
        await_state(vm, VM_OFF);
        is_off(vm, "/nonexistent");
        (void)snprintf(tcb->config.ovmf_vars, sizeof(tcb->config.ovmf_vars), "%s/vars", test_dir());
        tcb->measurements.qemu[0] ^= 1;
        start(vm, &outcome);
        await_state(vm, VM_OFF);
        is_off(vm, "is not the file that was measured");
        tcb->measurements.qemu[0] ^= 1;
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(its_end_is_the_vms),
            cmocka_unit_test(what_it_says_does_no_harm),
            cmocka_unit_test(an_agent_makes_it_run),
            cmocka_unit_test(its_engine_takes_it_along),
            cmocka_unit_test(one_that_does_not_end_holds_up_nobody),
            cmocka_unit_test(images_are_files_in_their_directory),
            cmocka_unit_test(consoles_are_files),
            cmocka_unit_test(without_its_files_it_does_not_start),
        };

        if (strcmp(argv[0], "qemu-system-x86_64") == 0)
                return play(argc, argv);
        return cmocka_run_group_tests_name("tcb-guest", tests, set_up, tear_down);
}
